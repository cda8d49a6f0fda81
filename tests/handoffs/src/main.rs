//! Takes the library's own waiting and handing over through every order of events (loom), or
//! through very many (shuttle).
//!
//! The library's files are compiled into this program as they are: the pool's state, the loop in
//! which a borrower waits, and the exchanges of a slot's word by which a connection is borrowed and
//! brought back without the state. In the place of sockets stand numbers, in the place of the futex
//! a condition variable of the checker. A scenario fails when somebody sleeps for ever, a
//! connection has two owners or none, a limit is passed, or the line is not served in order.
//!
//!     cargo run --release --features loom
//!     cargo run --release --features shuttle -- 200000
#![allow(dead_code)]

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
compile_error!("choose a checker: --features loom, or --features shuttle");

mod checker;
mod crowds;
mod fake;
mod fast_path_scenarios;
mod handle;
mod hook_scenarios;
mod loans;
mod pool;
mod scenarios;
mod scene;
mod sync;
#[path = "../../../src/values/mod.rs"]
mod values;

use std::env;
use std::process::{exit, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

type Scenario = (&'static str, fn());

/// With a scenario's name as the last argument it explores that one, else all of them.
fn main() {
    let scenarios = scenarios();
    let name = env::args().next_back().expect("a program has a name");
    match scenarios.iter().find(|scenario| scenario.0 == name) {
        Some(&scenario) => explore(scenario),
        None => explore_each(&scenarios),
    }
}

fn scenarios() -> Vec<Scenario> {
    if cfg!(feature = "loom") {
        let all = [
            scenarios::ALL,
            fast_path_scenarios::ALL,
            hook_scenarios::ALL,
        ];
        all.concat()
    } else {
        crowds::ALL.to_vec()
    }
}

/// As many at once as there are CPUs, each in a process of its own: checkers map and unmap stacks
/// all the time, and threads of one process would stand in line for that. None begins after one
/// that fails.
fn explore_each(scenarios: &[Scenario]) {
    let this = env::current_exe().expect("/proc/self/exe");
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, _)) = scenarios.get(next.fetch_add(1, SeqCst)) {
                    let one = Command::new(&this)
                        .args(env::args().skip(1))
                        .arg(name)
                        .status();
                    if !one.is_ok_and(|status| status.success()) {
                        eprintln!("FAILED: {name}");
                        has_failed.store(true, SeqCst);
                        next.store(scenarios.len(), SeqCst);
                    }
                }
            });
        }
    });
    exit(if has_failed.into_inner() { 101 } else { 0 });
}

fn explore((name, scenario): Scenario) {
    let began = Instant::now();
    let explored = checker::explore(scenario);
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {explored} orders, {seconds:.1} s");
}
