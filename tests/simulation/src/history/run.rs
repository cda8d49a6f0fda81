//! Runs histories: the coroutine of the kernel, which lets time pass when every thread sleeps.

use std::cell::Cell;
use std::panic;

use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use super::plan::Plan;
use super::program;
use crate::world::random::Random;
use crate::world::scheduler::WorldScheduler;
use crate::world::{self, tasks, time, violated};

/// More than the deepest call of the library needs, in debug builds too.
const STACK_SIZE: usize = 256 << 10;
/// No history is meant to last so long.
const LONGEST: u64 = 3_600_000 * time::MS;

struct Seed(Cell<u64>);

// SAFETY: one thread of the machine runs all simulated threads.
unsafe impl Sync for Seed {}

/// Of the history that runs.
static SEED: Seed = Seed(Cell::new(0));
/// What all histories so far came to: the same seeds come to the same, in any order.
static DIGEST: Seed = Seed(Cell::new(0));

pub(crate) fn seed() -> u64 {
    SEED.0.get()
}

/// Runs so many, from a seed on; returns their digest. Ends the program when one of them shows a
/// violation.
pub(crate) fn histories(first: u64, many: u64) -> u64 {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("a panic without a text");
        violated(&format!("a panic at {}: {text}", place.unwrap_or_default()));
    }));
    let mut config = Config::new();
    config.stack_size = STACK_SIZE;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::None;
    config.silence_warnings = true;
    SEED.0.set(first.wrapping_sub(1));
    Runner::new(WorldScheduler::new(many), config).run(|| {
        SEED.0.set(seed().wrapping_add(1));
        history(seed());
    });
    DIGEST.0.get()
}

fn history(seed: u64) {
    let plan = Plan::draw(seed);
    world::begin(seed, plan.chances.clone());
    world::with(|world| {
        world.tasks.add("kernel");
        plan.set_up(world);
    });
    tasks::spawn("main", move || program::run(plan));
    tasks::pass_on();
    while !world::with(|world| world.tasks.have_all_ended()) {
        let goes_on = world::with(|world| {
            world.rests += 1;
            world.check_overtaken();
            world.advance()
        });
        if !goes_on {
            violated("every thread sleeps, and nothing will wake one");
        }
        if world::with(|world| world.now) > time::BEGIN + LONGEST {
            violated("it has no end");
        }
        tasks::pass_on();
    }
    program::check_end();
    let digest = world::with(|world| {
        let mut end = Random::new(world.random.next() ^ world.now ^ world.switches ^ world.moment);
        end.next()
    });
    DIGEST.0.set(DIGEST.0.get() ^ digest);
    world::end();
}
