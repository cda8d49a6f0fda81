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
    for (name, scenario) in scenarios {
        let began = std::time::Instant::now();
        let explored = checker::explore(scenario);
        println!(
            "{name}: {explored} orders, {:.1} s",
            began.elapsed().as_secs_f64()
        );
    }
}
