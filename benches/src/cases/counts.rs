//! The cases whose figures are counted, not timed: they repeat whatever else the machine does.

use crate::case::Case;
use crate::cases::subjects::*;
use crate::measure::build::Build;
use crate::measure::counters::{Column, Counters, Per, Row};
use crate::measure::instructions::{Count, Instructions};
use crate::measure::size::Size;
use crate::measure::system_calls::{Calls, SystemCalls};
use crate::subject::Subject;

const fn row(subject: Subject, at_most: &'static [Option<f64>]) -> Row {
    Row { subject, at_most }
}

const fn count(subject: &'static Subject, at_most: Option<f64>) -> Count {
    let less = None;
    Count {
        subject,
        less,
        at_most,
    }
}

impl Count {
    const fn less(self, less: &'static Subject) -> Self {
        let less = Some(less);
        Self { less, ..self }
    }
}

pub(super) const CASES: &[Case] = &[
    Case::new(
        "D'",
        "memory of an idle connection: from the 1,000th to the 10,000th that is put into the pool",
        &Counters {
            rounds: 5,
            run: 9_000,
            quick_run: 9_000,
            columns: &[Column {
                what: "memory per connection",
                unit: "bytes",
                scale: 1.0,
                per: Per::Amount,
            }],
            rows: &[
                row(MEMORY_ONE, &[Some(150.0)]),
                row(MEMORY_MANY, &[Some(500.0)]),
            ],
        },
    ),
    Case::new(
        "F",
        "10,000 idle connections, and nothing happens for 30 s (--quick: 3 s)",
        &Counters {
            rounds: 1,
            run: 30_000,
            quick_run: 3_000,
            columns: &[
                Column {
                    what: "wake-ups of the background thread",
                    unit: "in all",
                    scale: 1.0,
                    per: Per::Run,
                },
                // Nanoseconds per millisecond.
                Column {
                    what: "CPU of the background thread",
                    unit: "ms per s",
                    scale: 1e-3,
                    per: Per::Amount,
                },
            ],
            rows: &[
                row(IDLE_ONE, &[Some(0.0), Some(0.05)]),
                row(IDLE_MANY, &[Some(0.0), Some(0.05)]),
            ],
        },
    ),
    Case::new(
        "G",
        "instructions per cycle, counted by callgrind",
        &Instructions {
            cycles: 20_000,
            counts: &[
                count(&WATCH, Some(280.0)),
                count(&STRICT, None),
                count(&RESLIST, None),
            ],
        },
    ),
    Case::new(
        "H",
        "size of the libraries as they are installed",
        &Size {
            shared_at_most: 1_150_000,
            static_at_most: 3_500_000,
        },
    ),
    Case::new(
        "J'",
        "instructions of a hit elsewhere, after a dial that is refused or an evict of one address",
        &Instructions {
            cycles: 2_000,
            counts: &[
                count(&KEYED_1000, None),
                count(&REFUSED_THEN_HIT, Some(550.0)).less(&REFUSED_SOME),
                count(&EVICTED_THEN_HIT, Some(550.0)).less(&EVICTED_SOME),
            ],
        },
    ),
    Case::new(
        "L",
        "system calls of a blocking echo by vcp_conn_write and vcp_conn_read that has to wait",
        &SystemCalls {
            cycles: 1_000,
            quick_cycles: 100,
            calls: &[Calls {
                subject: &ECHO_WAITING,
                expected: &[("sendto", 1.0), ("recvfrom", 2.0), ("ppoll", 1.0)],
            }],
        },
    ),
    Case::new(
        "M",
        "a build of the library from nothing, header generation left out",
        &Build { crates_at_most: 2 },
    ),
    Case::new(
        "S",
        "system calls of the calling thread per cycle, counted by strace",
        &SystemCalls {
            cycles: 100_000,
            quick_cycles: 10_000,
            calls: &[
                Calls {
                    subject: &STRICT,
                    expected: &[("recvfrom", 1.0)],
                },
                Calls {
                    subject: &WATCH,
                    expected: &[],
                },
            ],
        },
    ),
];
