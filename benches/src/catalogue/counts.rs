//! The cases whose figures are counted, not timed: they repeat whatever else the machine does.

use crate::case::{Case, Measure};
use crate::catalogue::contestants::*;
use crate::instructions::{Count, Instructions};
use crate::reading::{Column, Per, Reader, Reading};
use crate::size::Size;
use crate::system_calls::{Calls, SystemCalls};

pub(super) const MEMORY: Case = Case {
    name: "D'",
    title: "memory of 10,000 idle connections that were put into the pool",
    measure: Measure::Reading(Reading {
        rounds: 5,
        run: MANY as u64,
        quick_run: MANY as u64,
        columns: &[Column {
            what: "memory per connection",
            unit: "bytes",
            scale: 1.0,
            per: Per::Amount,
        }],
        readers: &[
            Reader {
                contestant: MEMORY_ONE,
                at_most: &[Some(160.0)],
            },
            Reader {
                contestant: MEMORY_MANY,
                at_most: &[None],
            },
        ],
    }),
};

pub(super) const IDLE: Case = Case {
    name: "F",
    title: "10,000 idle connections, and nothing happens for 30 s (--quick: 3 s)",
    measure: Measure::Reading(Reading {
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
        readers: &[
            Reader {
                contestant: IDLE_ONE,
                at_most: &[Some(0.0), Some(0.05)],
            },
            Reader {
                contestant: IDLE_MANY,
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
                contestant: &WATCH,
                at_most: Some(300.0),
            },
            Count {
                contestant: &STRICT,
                at_most: None,
            },
            Count {
                contestant: &RESLIST,
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
                contestant: &STRICT,
                expected: &[("recvfrom", 1.0)],
            },
            Calls {
                contestant: &WATCH,
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
