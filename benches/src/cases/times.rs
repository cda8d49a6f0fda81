//! The cases whose figures are times, and ratios of them.

use crate::affinity::Affinity;
use crate::case::Case;
use crate::cases::subjects::*;
use crate::measure::contention::Contention;
use crate::measure::interleaved::{Comparison, Interleaved, Turn};
use crate::subject::Subject;

const fn at_most(most: f64, of: &'static Subject, to: &'static Subject) -> Comparison {
    let at_most = Some(most);
    Comparison { of, to, at_most }
}

/// Without a bar.
const fn beside(of: &'static Subject, to: &'static Subject) -> Comparison {
    let at_most = None;
    Comparison { of, to, at_most }
}

/// As the scheduler likes, turns filled.
const fn interleaved(
    subjects: &'static [Subject],
    comparisons: &'static [Comparison],
) -> Interleaved {
    Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects,
        comparisons,
        flat_within: None,
    }
}

impl Interleaved {
    const fn on_one_cpu(self) -> Self {
        let affinity = Affinity::OneCpu;
        Self { affinity, ..self }
    }

    const fn one_cycle_a_turn(self) -> Self {
        let turn = Turn::OneCycle;
        Self { turn, ..self }
    }

    const fn flat_within(self, most: f64) -> Self {
        let flat_within = Some(most);
        Self {
            flat_within,
            ..self
        }
    }
}

pub(super) const CASES: &[Case] = &[
    Case::new(
        "A",
        "cycle, 1 thread, WATCH",
        &interleaved(
            &[
                WATCH,
                RESLIST,
                RESLIST_FOR_EVER,
                POCO_POOL,
                CURL_REQUEST,
                R2D2,
                DEADPOOL,
                UNMANAGED,
                UNMANAGED_AT_ONCE,
                BB8,
                PINGORA,
            ],
            &[
                at_most(0.9, &WATCH, &RESLIST_FOR_EVER),
                at_most(0.4, &WATCH, &RESLIST),
            ],
        ),
    ),
    Case::new(
        "A'",
        "cycle, 1 thread, STRICT",
        &interleaved(&[STRICT, PEEK], &[at_most(1.2, &STRICT, &PEEK)]),
    ),
    Case::new(
        "B",
        "cycle, 8 threads, 8 idle, one destination, WATCH; wall clock over cycles of all",
        &interleaved(
            &[
                THREADS_WATCH,
                WATCH,
                THREADS_RESLIST,
                THREADS_R2D2,
                THREADS_DEADPOOL,
                THREADS_BB8,
            ],
            &[
                at_most(0.6, &THREADS_WATCH, &WATCH),
                beside(&THREADS_WATCH, &THREADS_RESLIST),
                beside(&THREADS_WATCH, &THREADS_R2D2),
            ],
        ),
    ),
    Case::new(
        "C",
        "8 threads, 2 connections, 64-byte echo while holding",
        &Contention {
            ours: CONTENTION_STRICT,
            bare: CONTENTION_BARE,
            peers: &[
                CONTENTION_DEADPOOL,
                CONTENTION_BB8,
                CONTENTION_R2D2,
                CONTENTION_RESLIST,
            ],
            fairness: 0.99,
            p99_within: 1.15,
        },
    ),
    Case::new(
        "D",
        "cycle, 1 thread, 10,000 destinations at random, WATCH",
        &interleaved(
            &[KEYED_MANY, KEYED_UNMANAGED_AT_ONCE, KEYED_UNMANAGED, WATCH],
            &[
                at_most(0.4, &KEYED_MANY, &KEYED_UNMANAGED_AT_ONCE),
                beside(&KEYED_MANY, &KEYED_UNMANAGED),
                beside(&KEYED_MANY, &WATCH),
            ],
        ),
    ),
    Case::new(
        "E",
        "64-byte echo, borrowed anew for each; client and server on one CPU",
        &interleaved(
            &[ECHO_WATCH, ECHO_KEPT, ECHO_CALLS, ECHO_STRICT],
            &[
                at_most(1.03, &ECHO_WATCH, &ECHO_KEPT),
                at_most(1.08, &ECHO_CALLS, &ECHO_KEPT),
                beside(&ECHO_STRICT, &ECHO_KEPT),
            ],
        )
        .on_one_cpu(),
    ),
    Case::new(
        "E'",
        "fresh dial, 64-byte echo, close; literal address, max_idle 0; both ends on one CPU",
        &interleaved(
            &[
                DIAL_CALLS,
                DIAL_BARE,
                DIAL_DESCRIPTOR,
                DIAL_OPTIONS,
                DIAL_SYSTEM_CALLS,
            ],
            &[
                at_most(1.08, &DIAL_CALLS, &DIAL_SYSTEM_CALLS),
                at_most(1.08, &DIAL_DESCRIPTOR, &DIAL_SYSTEM_CALLS),
                beside(&DIAL_CALLS, &DIAL_BARE),
                beside(&DIAL_OPTIONS, &DIAL_BARE),
                beside(&DIAL_SYSTEM_CALLS, &DIAL_BARE),
            ],
        )
        .on_one_cpu(),
    ),
    Case::new(
        "I",
        "growth: the cycle of A with 1, 100 and 10,000 idle connections in one destination",
        &interleaved(&[WATCH, WATCH_100, WATCH_MANY], &[]).flat_within(1.2),
    ),
    Case::new(
        "I'",
        "growth: the cycle of D with 10, 1,000, 10,000 and as many destinations as descriptors",
        &interleaved(
            &[
                KEYED_10,
                LOOKUP_10,
                KEYED_1000,
                LOOKUP_1000,
                KEYED_MANY,
                LOOKUP_MANY,
                KEYED_ALL,
                LOOKUP_ALL,
            ],
            &[
                at_most(2.0, &KEYED_10, &LOOKUP_10),
                at_most(2.0, &KEYED_1000, &LOOKUP_1000),
                at_most(2.0, &KEYED_MANY, &LOOKUP_MANY),
                at_most(2.0, &KEYED_ALL, &LOOKUP_ALL),
            ],
        ),
    ),
    Case::new(
        "J",
        "a dial refused at a limit, and an evict of one address: 10 and 9,000 idle elsewhere",
        &interleaved(
            &[REFUSED_FEW, REFUSED_MANY, EVICTED_FEW, EVICTED_MANY],
            &[
                at_most(1.5, &REFUSED_MANY, &REFUSED_FEW),
                at_most(1.5, &EVICTED_MANY, &EVICTED_FEW),
            ],
        ),
    ),
    Case::new(
        "K",
        "cycle of a driver's session, 1 thread, STRICT",
        &interleaved(&[SESSION, PEEK], &[at_most(1.25, &SESSION, &PEEK)]),
    ),
    Case::new(
        "R",
        "the first dial after a restart of the server, 500 connections idle",
        &interleaved(
            &[RESTART_BORROW, RESTART_FRESH],
            &[at_most(3.0, &RESTART_BORROW, &RESTART_FRESH)],
        )
        .one_cycle_a_turn(),
    ),
];
