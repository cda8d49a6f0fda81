//! All cases, their contestants and their bars.

use crate::case::{Case, Measure};
use crate::crowd::Crowd;
use crate::instructions::{Count, Instructions};
use crate::place::Place;
use crate::program::{Contestant, Over, Package, Program};
use crate::race::{Comparison, Race, Turn};

const CYCLE: Program = Program {
    name: "cycle_vconnpool",
    with: &[],
    over: Over::Libvconnpool,
};
const CYCLE_WATCH: Contestant = Contestant {
    label: "libvconnpool, WATCH",
    program: CYCLE,
    variant: "watch",
};
const CYCLE_STRICT: Contestant = Contestant {
    label: "libvconnpool, STRICT",
    program: CYCLE,
    variant: "strict",
};
const APR: Package = Package {
    debian: "libaprutil1-dev",
    modules: &["apr-1", "apr-util-1"],
};
const RESLIST: Program = Program {
    name: "cycle_apr_reslist",
    with: &["reslist"],
    over: Over::Package(APR),
};
const CYCLE_APR: Contestant = Contestant {
    label: "apr_reslist",
    program: RESLIST,
    variant: "expiring",
};
const CYCLE_APR_FOR_EVER: Contestant = Contestant {
    label: "apr_reslist without expiry",
    program: RESLIST,
    variant: "for-ever",
};
const PEEK: Contestant = Contestant {
    label: "bare recv(MSG_PEEK | MSG_DONTWAIT)",
    program: Program {
        name: "peek_plain",
        with: &[],
        over: Over::Nothing,
    },
    variant: "plain",
};

const DIAL: Program = Program {
    name: "dial_vconnpool",
    with: &[],
    over: Over::Libvconnpool,
};
const DIAL_CALLS: Contestant = Contestant {
    label: "libvconnpool, vcp_conn_write and _read",
    program: DIAL,
    variant: "calls",
};
const DIAL_DESCRIPTOR: Contestant = Contestant {
    label: "libvconnpool, write and read",
    program: DIAL,
    variant: "descriptor",
};
const DIAL_PLAIN: Program = Program {
    name: "dial_plain",
    with: &[],
    over: Over::Nothing,
};
const DIAL_BARE: Contestant = Contestant {
    label: "C",
    program: DIAL_PLAIN,
    variant: "bare",
};
const DIAL_OPTIONS: Contestant = Contestant {
    label: "C, with the library's socket options",
    program: DIAL_PLAIN,
    variant: "options",
};

const CROWD: Program = Program {
    name: "crowd_vconnpool",
    with: &["crowd"],
    over: Over::Libvconnpool,
};
const CROWD_STRICT: Contestant = Contestant {
    label: "libvconnpool, STRICT",
    program: CROWD,
    variant: "strict",
};
const CROWD_APR: Contestant = Contestant {
    label: "apr_reslist",
    program: Program {
        name: "crowd_apr_reslist",
        with: &["crowd", "reslist"],
        over: Over::Package(APR),
    },
    variant: "waiting",
};
const PEERS: Program = Program {
    name: "vconnpool-peers",
    with: &[],
    over: Over::Crates,
};
const CROWD_DEADPOOL: Contestant = Contestant {
    label: "deadpool",
    program: PEERS,
    variant: "deadpool",
};
const CROWD_BB8: Contestant = Contestant {
    label: "bb8",
    program: PEERS,
    variant: "bb8",
};
const CROWD_R2D2: Contestant = Contestant {
    label: "r2d2",
    program: PEERS,
    variant: "r2d2",
};

const RESTART: Program = Program {
    name: "restart_vconnpool",
    with: &[],
    over: Over::Libvconnpool,
};
const RESTART_BORROW: Contestant = Contestant {
    label: "first borrow, 500 dead ones idle",
    program: RESTART,
    variant: "borrow",
};
const RESTART_FRESH: Contestant = Contestant {
    label: "fresh dial, nothing idle",
    program: RESTART,
    variant: "fresh",
};

/// In the order in which they are run.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "A",
        title: "cycle, 1 thread, WATCH",
        measure: Measure::Race(Race {
            place: Place::Anywhere,
            turn: Turn::Filled,
            contestants: &[CYCLE_WATCH, CYCLE_APR, CYCLE_APR_FOR_EVER],
            comparisons: &[
                Comparison {
                    of: &CYCLE_WATCH,
                    to: &CYCLE_APR,
                    at_most: Some(0.75),
                },
                Comparison {
                    of: &CYCLE_WATCH,
                    to: &CYCLE_APR_FOR_EVER,
                    at_most: None,
                },
            ],
        }),
    },
    Case {
        name: "A'",
        title: "cycle, 1 thread, STRICT",
        measure: Measure::Race(Race {
            place: Place::Anywhere,
            turn: Turn::Filled,
            contestants: &[CYCLE_STRICT, PEEK],
            comparisons: &[Comparison {
                of: &CYCLE_STRICT,
                to: &PEEK,
                at_most: Some(1.25),
            }],
        }),
    },
    Case {
        name: "C",
        title: "8 threads, 2 connections, 64-byte echo while holding",
        measure: Measure::Crowd(Crowd {
            ours: CROWD_STRICT,
            peers: &[CROWD_DEADPOOL, CROWD_BB8, CROWD_R2D2, CROWD_APR],
        }),
    },
    Case {
        name: "R",
        title: "the first dial after a restart of the server, 500 connections idle",
        measure: Measure::Race(Race {
            place: Place::Anywhere,
            turn: Turn::OneCycle,
            contestants: &[RESTART_BORROW, RESTART_FRESH],
            comparisons: &[Comparison {
                of: &RESTART_BORROW,
                to: &RESTART_FRESH,
                at_most: Some(3.0),
            }],
        }),
    },
    Case {
        name: "E'",
        title: "fresh dial, 64-byte echo, close; one literal address, max_idle 0; client and server on one CPU",
        measure: Measure::Race(Race {
            place: Place::OneCpu,
            turn: Turn::Filled,
            contestants: &[DIAL_CALLS, DIAL_BARE, DIAL_DESCRIPTOR, DIAL_OPTIONS],
            comparisons: &[
                Comparison {
                    of: &DIAL_CALLS,
                    to: &DIAL_BARE,
                    at_most: Some(1.10),
                },
                Comparison {
                    of: &DIAL_DESCRIPTOR,
                    to: &DIAL_BARE,
                    at_most: Some(1.10),
                },
                Comparison {
                    of: &DIAL_CALLS,
                    to: &DIAL_OPTIONS,
                    at_most: None,
                },
                Comparison {
                    of: &DIAL_OPTIONS,
                    to: &DIAL_BARE,
                    at_most: None,
                },
            ],
        }),
    },
    Case {
        name: "G",
        title: "instructions per cycle, counted by callgrind",
        measure: Measure::Instructions(Instructions {
            counts: &[
                Count {
                    contestant: &CYCLE_WATCH,
                    at_most: Some(300.0),
                },
                Count {
                    contestant: &CYCLE_STRICT,
                    at_most: None,
                },
            ],
        }),
    },
];
