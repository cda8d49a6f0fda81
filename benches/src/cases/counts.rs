//! The cases whose figures are counted, not timed: they repeat whatever else the machine does.

use crate::case::{Case, Measure};
use crate::cases::subjects::*;
use crate::measure::counters::{Column, Counters, Per, Reporter};
use crate::measure::instructions::{Count, Instructions};
use crate::measure::size::Size;
use crate::measure::system_calls::{Calls, SystemCalls};

pub(super) const MEMORY: Case = Case {
    name: "D'",
    title: "memory of 10,000 idle connections that were put into the pool",
    measure: Measure::Counters(Counters {
        rounds: 5,
        run: MANY as u64,
        quick_run: MANY as u64,
        columns: &[Column {
            what: "memory per connection",
            unit: "bytes",
            scale: 1.0,
            per: Per::Amount,
        }],
        reporters: &[
            Reporter {
                subject: MEMORY_ONE,
                at_most: &[Some(160.0)],
            },
            Reporter {
                subject: MEMORY_MANY,
                at_most: &[None],
            },
        ],
    }),
};

pub(super) const IDLE: Case = Case {
    name: "F",
    title: "10,000 idle connections, and nothing happens for 30 s (--quick: 3 s)",
    measure: Measure::Counters(Counters {
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
        reporters: &[
            Reporter {
                subject: IDLE_ONE,
                at_most: &[Some(0.0), Some(0.05)],
            },
            Reporter {
                subject: IDLE_MANY,
                at_most: &[Some(0.0), Some(0.05)],
            },
        ],
    }),
};

pub(super) const INSTRUCTIONS: Case = Case {
    name: "G",
    title: "instructions per cycle, counted by callgrind",
    measure: Measure::Instructions(Instructions {
        counts: &[
            Count {
                subject: &WATCH,
                at_most: Some(300.0),
            },
            Count {
                subject: &STRICT,
                at_most: None,
            },
            Count {
                subject: &RESLIST,
                at_most: None,
            },
        ],
    }),
};

pub(super) const SYSTEM_CALLS: Case = Case {
    name: "S",
    title: "system calls of the calling thread per cycle, counted by strace",
    measure: Measure::SystemCalls(SystemCalls {
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
    }),
};

pub(super) const SIZE: Case = Case {
    name: "H",
    title: "size of the stripped shared library",
    measure: Measure::Size(Size { at_most: 600_000 }),
};
