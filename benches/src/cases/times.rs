//! The cases whose figures are times, and ratios of them.

use crate::affinity::Affinity;
use crate::case::{Case, Measure};
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

pub(super) const ONE_THREAD: Case = Case {
    name: "A",
    title: "cycle, 1 thread, WATCH",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects: &[
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
        comparisons: &[
            at_most(0.75, &WATCH, &RESLIST),
            beside(&WATCH, &RESLIST_FOR_EVER),
        ],
        flat_within: None,
    }),
};

pub(super) const ONE_THREAD_STRICT: Case = Case {
    name: "A'",
    title: "cycle, 1 thread, STRICT",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects: &[STRICT, PEEK],
        comparisons: &[at_most(1.25, &STRICT, &PEEK)],
        flat_within: None,
    }),
};

pub(super) const THREADS: Case = Case {
    name: "B",
    title: "cycle, 8 threads, 8 idle, one destination, WATCH; wall clock over cycles of all",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects: &[
            THREADS_WATCH,
            WATCH,
            THREADS_RESLIST,
            THREADS_R2D2,
            THREADS_DEADPOOL,
            THREADS_BB8,
        ],
        comparisons: &[
            at_most(1.3, &THREADS_WATCH, &WATCH),
            beside(&THREADS_WATCH, &THREADS_RESLIST),
            beside(&THREADS_WATCH, &THREADS_R2D2),
        ],
        flat_within: None,
    }),
};

pub(super) const CONTENTION: Case = Case {
    name: "C",
    title: "8 threads, 2 connections, 64-byte echo while holding",
    measure: Measure::Contention(Contention {
        ours: CONTENTION_STRICT,
        bare: CONTENTION_BARE,
        peers: &[
            CONTENTION_DEADPOOL,
            CONTENTION_BB8,
            CONTENTION_R2D2,
            CONTENTION_RESLIST,
        ],
    }),
};

pub(super) const DESTINATIONS: Case = Case {
    name: "D",
    title: "cycle, 1 thread, 10,000 destinations at random, WATCH",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects: &[KEYED_MANY, KEYED_UNMANAGED_AT_ONCE, KEYED_UNMANAGED, WATCH],
        comparisons: &[
            at_most(0.4, &KEYED_MANY, &KEYED_UNMANAGED_AT_ONCE),
            beside(&KEYED_MANY, &KEYED_UNMANAGED),
            at_most(2.5, &KEYED_MANY, &WATCH),
        ],
        flat_within: None,
    }),
};

pub(super) const ECHO: Case = Case {
    name: "E",
    title: "64-byte echo, borrowed anew for each; client and server on one CPU",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::OneCpu,
        turn: Turn::Filled,
        subjects: &[ECHO_WATCH, ECHO_KEPT, ECHO_STRICT],
        comparisons: &[
            at_most(1.03, &ECHO_WATCH, &ECHO_KEPT),
            beside(&ECHO_STRICT, &ECHO_KEPT),
        ],
        flat_within: None,
    }),
};

pub(super) const DIAL: Case = Case {
    name: "E'",
    title: "fresh dial, 64-byte echo, close; one literal address, max_idle 0; client and server on one CPU",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::OneCpu,
        turn: Turn::Filled,
        subjects: &[
            DIAL_CALLS,
            DIAL_BARE,
            DIAL_DESCRIPTOR,
            DIAL_OPTIONS,
            DIAL_SYSTEM_CALLS,
        ],
        comparisons: &[
            at_most(1.10, &DIAL_CALLS, &DIAL_BARE),
            at_most(1.10, &DIAL_DESCRIPTOR, &DIAL_BARE),
            beside(&DIAL_CALLS, &DIAL_OPTIONS),
            beside(&DIAL_OPTIONS, &DIAL_BARE),
            beside(&DIAL_SYSTEM_CALLS, &DIAL_BARE),
        ],
        flat_within: None,
    }),
};

pub(super) const RESTART: Case = Case {
    name: "R",
    title: "the first dial after a restart of the server, 500 connections idle",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::OneCycle,
        subjects: &[RESTART_BORROW, RESTART_FRESH],
        comparisons: &[at_most(3.0, &RESTART_BORROW, &RESTART_FRESH)],
        flat_within: None,
    }),
};

pub(super) const MORE_IDLE: Case = Case {
    name: "I",
    title: "growth: the cycle of A with 1, 100 and 10,000 idle connections in one destination",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects: &[WATCH, WATCH_100, WATCH_MANY],
        comparisons: &[],
        flat_within: Some(1.2),
    }),
};

pub(super) const MORE_DESTINATIONS: Case = Case {
    name: "I'",
    title: "growth: the cycle of D with 10, 1,000, 10,000 and as many destinations as there are descriptors for",
    measure: Measure::Interleaved(Interleaved {
        affinity: Affinity::AnyCpu,
        turn: Turn::Filled,
        subjects: &[
            KEYED_10, LOOKUP_10, KEYED_1000, LOOKUP_1000, KEYED_MANY, LOOKUP_MANY, KEYED_ALL, LOOKUP_ALL,
        ],
        comparisons: &[
            at_most(1.3, &KEYED_10, &LOOKUP_10),
            at_most(1.3, &KEYED_1000, &LOOKUP_1000),
            at_most(1.3, &KEYED_MANY, &LOOKUP_MANY),
            at_most(1.3, &KEYED_ALL, &LOOKUP_ALL),
        ],
        flat_within: None,
    }),
};
