//! Runs a scenario in every order of events, or in as many as were asked for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// Exhaustive: no bound on preemptions.
#[cfg(feature = "loom")]
pub(crate) fn explore(scenario: fn()) -> u64 {
    let explored = Arc::new(AtomicU64::new(0));
    let counted = explored.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = None;
    builder.max_branches = 100_000;
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        scenario();
    });
    explored.load(Relaxed)
}

/// At random, as often as the first argument says.
#[cfg(feature = "shuttle")]
pub(crate) fn explore(scenario: fn()) -> u64 {
    const SCHEDULES: usize = 200_000;
    let schedules = std::env::args().nth(1).map_or(SCHEDULES, |text| {
        text.parse().expect("a number of schedules")
    });
    let explored = Arc::new(AtomicU64::new(0));
    let counted = explored.clone();
    shuttle::check_random(
        move || {
            counted.fetch_add(1, Relaxed);
            scenario();
        },
        schedules,
    );
    explored.load(Relaxed)
}
