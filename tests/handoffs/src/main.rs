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

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

fn main() {
    let scenarios = if cfg!(feature = "loom") {
        [
            scenarios::ALL,
            fast_path_scenarios::ALL,
            hook_scenarios::ALL,
        ]
        .concat()
    } else {
        crowds::ALL.to_vec()
    };
    // A checker keeps what it knows with its thread, so each CPU may have one.
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(&(name, scenario)) = scenarios.get(next.fetch_add(1, Relaxed)) {
                    explore(name, scenario);
                }
            });
        }
    });
}

/// The first scenario that fails ends all.
fn explore(name: &str, scenario: fn()) {
    let began = Instant::now();
    match catch_unwind(|| checker::explore(scenario)) {
        Ok(explored) => println!(
            "{name}: {explored} orders, {:.1} s",
            began.elapsed().as_secs_f64()
        ),
        Err(_) => {
            eprintln!("FAILED: {name}");
            std::process::exit(101);
        }
    }
}
