//! The model test: random sequences of everything that can happen to a pool's state, side by side
//! with a small reference written from the contract's words; every answer, every close and every
//! number is compared after every step.
//!
//! `VCP_MODEL_SEQUENCES` says how many sequences ([`SEQUENCES`]), `VCP_MODEL_SEED` from which seed
//! ([`SEED`]): the same two numbers are the same sequences, on any number of threads. A failing
//! sequence is made as short as possible and printed.
#![forbid(unsafe_code)]

mod check;
mod destinations;
pub(super) mod fake;
mod found;
mod histories;
mod reference;
mod steps;
mod world;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::destinations::{destinations, Destinations};
use self::reference::Rules;
use self::steps::{Dice, Step};
use self::world::World;

/// About a second in a debug build; CI takes 300,000, in an optimised build.
const SEQUENCES: u64 = 5_000;
const SEED: u64 = 1;

#[test]
fn the_state_does_what_the_contract_says() {
    let seed = from_environment("VCP_MODEL_SEED", SEED);
    let sequences = from_environment("VCP_MODEL_SEQUENCES", SEQUENCES);
    if let Some(number) = first_failure(seed, sequences) {
        let (rules, steps) = sequence(seed, number);
        panic!(
            "sequence {number} of seed {seed}: {}",
            shortest(rules, steps)
        );
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

fn sequence(seed: u64, number: u64) -> (Rules, Vec<Step>) {
    let mut dice = Dice::new(seed, number);
    let rules = dice.rules();
    let steps = dice.steps(rules.are_plain());
    (rules, steps)
}

/// The first in the order of numbers, whichever thread finds it first.
fn first_failure(seed: u64, sequences: u64) -> Option<u64> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let first = AtomicU64::new(u64::MAX);
    let search = |from: u64| {
        let destinations = destinations();
        let mine = (from..sequences).step_by(threads as usize);
        for number in mine.take_while(|&number| number < first.load(Relaxed)) {
            let (rules, steps) = sequence(seed, number);
            if failure(&destinations, &rules, &steps).is_some() {
                first.fetch_min(number, Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for from in 0..threads {
            scope.spawn(move || search(from));
        }
    });
    Some(first.into_inner()).filter(|&number| number < u64::MAX)
}

/// What goes wrong, and in which step (`steps.len()`: when everybody goes home).
fn failure(destinations: &Destinations, rules: &Rules, steps: &[Step]) -> Option<(usize, String)> {
    let mut at = 0;
    let run = || {
        let mut world = World::new(rules, destinations);
        for &step in steps {
            world.step(step)?;
            at += 1;
        }
        world.tidy_up()
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.err().map(|wrong| (at, wrong)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some((at, format!("panic: {}", text.unwrap_or("?"))))
        }
    }
}

/// Takes out whatever can be taken out of a failing sequence, and tells the rest.
fn shortest(mut rules: Rules, mut steps: Vec<Step>) -> String {
    let destinations = destinations();
    let fails = |rules: &Rules, steps: &[Step]| failure(&destinations, rules, steps).is_some();
    // A panic on the way is no news.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    loop {
        let before = steps.len();
        remove_steps(&mut steps, |fewer| fails(&rules, fewer));
        let lifted = lift_rules(&mut rules, |rules| fails(rules, &steps));
        if steps.len() == before && !lifted {
            break;
        }
    }
    let found = failure(&destinations, &rules, &steps);
    std::panic::set_hook(hook);
    let (at, wrong) = found.expect("it failed a moment ago");
    let steps: String = steps.iter().map(|step| format!("  {step:?}\n")).collect();
    format!("{wrong}, in step {at} (from 0) of\n{rules:?}\n{steps}")
}

fn remove_steps(steps: &mut Vec<Step>, fails: impl Fn(&[Step]) -> bool) {
    let mut length = steps.len().max(1);
    while length > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + length).min(steps.len()));
            if fails(&fewer) {
                *steps = fewer;
            } else {
                from += length;
            }
        }
        length /= 2;
    }
}

/// Drops options that the failure does not need; true if there were any.
fn lift_rules(rules: &mut Rules, fails: impl Fn(&Rules) -> bool) -> bool {
    let lifts: [fn(&mut Rules); 12] = [
        |rules| rules.limits.max_idle_per_address = 8,
        |rules| rules.limits.max_idle = None,
        |rules| rules.limits.max_conns = None,
        |rules| rules.limits.max_conns_per_address = None,
        |rules| rules.limits.max_dials_per_address = None,
        |rules| rules.limits.max_waiters = None,
        |rules| rules.keeping.idle_timeout = None,
        |rules| rules.keeping.max_lifetime = None,
        |rules| rules.keeping.max_uses = None,
        |rules| rules.fail_fast = None,
        |rules| rules.on_idle = None,
        |rules| rules.is_observed = false,
    ];
    let mut lifted = false;
    for lift in lifts {
        let mut fewer = rules.clone();
        lift(&mut fewer);
        if format!("{fewer:?}") != format!("{rules:?}") && fails(&fewer) {
            *rules = fewer;
            lifted = true;
        }
    }
    lifted
}
