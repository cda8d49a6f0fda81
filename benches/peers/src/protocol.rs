//! The driver's side: each line "run N" is answered with one line.

use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use crate::connector::Connector;

/// Answers until the driver hangs up.
pub(crate) fn answer<A: Display>(run: impl Fn(u64) -> A) {
    for line in io::stdin().lock().lines() {
        let line = line.expect("standard input");
        let amount = line.strip_prefix("run ").expect("run N");
        println!("{}", run(amount.parse().expect("run N")));
        io::stdout().flush().expect("standard output");
    }
}

/// The same for cycles that tell how long they took; panics if they connected. The first, of one
/// cycle, is for the pool to make its connections.
pub(crate) fn answer_hits(connector: &Connector, cycles: impl Fn(u64) -> Duration) {
    cycles(1);
    answer(|count| {
        let before = connector.so_far();
        let took = cycles(count);
        assert_eq!(connector.so_far(), before, "a cycle made a connection");
        took.as_nanos()
    });
}

/// How long it takes.
pub(crate) fn time_of(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
