//! Larger scenes, for as many orders as there is time for: four to eight threads.

use crate::pool::state::answer::{Disposition, Reuse};
use crate::scene::{limits, CancelToken, Got, Patience, Pool};
use crate::sync::{thread, Arc};
use crate::values::options::Limits;

pub(crate) const ALL: &[(&str, fn())] = &[
    ("four threads on one connection", || {
        crowd(limits(1), &[Do::Wait; 4])
    }),
    ("eight threads on two connections", || {
        crowd(limits(2), &[Do::Wait; 8])
    }),
    ("timeouts among the patient", || {
        crowd(
            limits(1),
            &[
                Do::Wait,
                Do::TimeOut,
                Do::Wait,
                Do::TimeOut,
                Do::Wait,
                Do::TimeOut,
            ],
        )
    }),
    ("cancellations among the patient", || {
        crowd(
            limits(1),
            &[Do::Wait, Do::Cancel, Do::Wait, Do::Cancel, Do::Wait],
        )
    }),
    ("discards and fresh dials", || {
        crowd(
            limits(2),
            &[
                Do::Discard,
                Do::Fresh,
                Do::Wait,
                Do::Discard,
                Do::Fresh,
                Do::Wait,
            ],
        )
    }),
    ("failing dials", || {
        crowd(
            limits(1),
            &[Do::FailDial, Do::Wait, Do::FailDial, Do::TimeOut, Do::Wait],
        )
    }),
    ("the engine, evictions and the patient", || {
        crowd(
            limits(2),
            &[
                Do::Reap,
                Do::Evict,
                Do::Wait,
                Do::Wait,
                Do::TimeOut,
                Do::Reap,
            ],
        )
    }),
    ("two destinations and one connection", || {
        crowd(
            limits(1),
            &[
                Do::Wait,
                Do::WaitElsewhere,
                Do::Wait,
                Do::WaitElsewhere,
                Do::TimeOut,
            ],
        )
    }),
    ("a close in the middle", || {
        crowd(
            limits(2),
            &[
                Do::Close,
                Do::Wait,
                Do::Cancel,
                Do::TimeOut,
                Do::Discard,
                Do::Wait,
            ],
        )
    }),
    ("a drain in the middle", || {
        crowd(
            limits(1),
            &[Do::Drain, Do::Wait, Do::Wait, Do::TimeOut, Do::Put],
        )
    }),
    ("turns to dial", || {
        let mut turns = limits(3);
        turns.max_dials_per_address = Some(1);
        crowd(
            turns,
            &[
                Do::Fresh,
                Do::Wait,
                Do::TimeOut,
                Do::FailDial,
                Do::Wait,
                Do::Cancel,
            ],
        )
    }),
    ("fast-path loans among the patient", || {
        crowd(
            limits(2),
            &[
                Do::Lend,
                Do::Wait,
                Do::Lend,
                Do::WaitElsewhere,
                Do::TimeOut,
                Do::Lend,
            ],
        )
    }),
    (
        "fast-path loans, the engine, evictions and fresh dials",
        || {
            let mut few = limits(3);
            few.max_conns_per_address = Some(2);
            crowd(
                few,
                &[
                    Do::Lend,
                    Do::Evict,
                    Do::Lend,
                    Do::Reap,
                    Do::Fresh,
                    Do::Lend,
                    Do::Wait,
                ],
            )
        },
    ),
    ("fast-path loans and a drain in the middle", || {
        crowd(
            limits(2),
            &[Do::Lend, Do::Drain, Do::Lend, Do::Wait, Do::Lend],
        )
    }),
    ("an observer counts slots and turns", || {
        let mut turns = limits(2);
        turns.max_dials_per_address = Some(1);
        observed(
            turns,
            &[
                Do::Fresh,
                Do::Wait,
                Do::FailDial,
                Do::Discard,
                Do::WaitElsewhere,
                Do::TimeOut,
            ],
        )
    }),
    ("an observer counts one slot", || {
        observed(
            limits(1),
            &[
                Do::Wait,
                Do::Discard,
                Do::WaitElsewhere,
                Do::FailDial,
                Do::Cancel,
                Do::Evict,
            ],
        )
    }),
    ("an observer counts, and a drain in the middle", || {
        observed(
            limits(2),
            &[Do::Wait, Do::Drain, Do::Discard, Do::Fresh, Do::Wait],
        )
    }),
    ("on_idle and background releases among the patient", || {
        crowd(
            limits(2),
            &[
                Do::Check,
                Do::Release,
                Do::Check,
                Do::WaitElsewhere,
                Do::TimeOut,
                Do::Release,
                Do::Wait,
            ],
        )
    }),
    (
        "on_idle, background releases and a drain in the middle",
        || {
            crowd(
                limits(2),
                &[
                    Do::Check,
                    Do::Release,
                    Do::Drain,
                    Do::Wait,
                    Do::Check,
                    Do::Cancel,
                ],
            )
        },
    ),
    ("on_idle among fast-path loans and evictions", || {
        crowd(
            limits(2),
            &[
                Do::Lend,
                Do::Check,
                Do::Lend,
                Do::Check,
                Do::WaitElsewhere,
                Do::Evict,
            ],
        )
    }),
    ("an observer counts, and on_idle is asked", || {
        observed(
            limits(2),
            &[
                Do::Check,
                Do::Release,
                Do::Discard,
                Do::Check,
                Do::WaitElsewhere,
                Do::Evict,
            ],
        )
    }),
    ("everything at once", || {
        let mut few = limits(2);
        few.max_conns_per_address = Some(1);
        crowd(
            few,
            &[
                Do::Wait,
                Do::WaitElsewhere,
                Do::TimeOut,
                Do::Cancel,
                Do::Put,
                Do::Evict,
                Do::FailDial,
                Do::Discard,
            ],
        )
    }),
];

/// What one thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Do {
    /// Borrows, with all the time there is, and gives back.
    Wait,
    WaitElsewhere,
    Fresh,
    TimeOut,
    Cancel,
    Discard,
    FailDial,
    Put,
    Reap,
    Evict,
    Close,
    Drain,
    /// Borrows, and on_release looks at it after its borrower has gone.
    Release,
    /// on_idle is asked about what is idle.
    Check,
    /// Borrows, gives back, and borrows what it has left without the state, as long as it finds it
    /// there.
    Lend,
}

fn crowd(limits: Limits, of: &[Do]) {
    let pool = match (of.contains(&Do::Lend), of.contains(&Do::Check)) {
        (true, true) => Pool::plain_and_checking(limits),
        (true, false) => Pool::plain(limits),
        (false, true) => Pool::checking(limits),
        (false, false) => Pool::new(limits),
    };
    act_together(&pool, of);
}

fn observed(limits: Limits, of: &[Do]) {
    let pool = if of.contains(&Do::Check) {
        Pool::observed_and_checking(limits)
    } else {
        Pool::observed(limits)
    };
    act_together(&pool, of);
}

fn act_together(pool: &Arc<Pool>, of: &[Do]) {
    // Who asks without an end is served, unless the pool ends.
    let may_end = of.iter().any(|one| matches!(one, Do::Close | Do::Drain));
    let threads: Vec<_> = of
        .iter()
        .map(|&what| {
            let pool = pool.clone();
            thread::spawn(move || act(&pool, what, may_end))
        })
        .collect();
    for one in threads {
        one.join().expect("no panic");
    }
    if of == [Do::Wait; 4] {
        pool.check_order();
    }
    pool.check_at_rest();
}

fn act(pool: &Arc<Pool>, what: Do, may_end: bool) {
    let to = usize::from(what == Do::WaitElsewhere);
    let reuse = if what == Do::Fresh {
        Reuse::Never
    } else {
        Reuse::Allowed
    };
    let patience = match what {
        Do::TimeOut => Patience::Ends,
        Do::Cancel => Patience::Until(Arc::<CancelToken>::default()),
        Do::Put => return pool.put(0),
        Do::Reap => return pool.reap(),
        Do::Evict => return pool.evict(),
        Do::Close => return pool.close(),
        Do::Drain => return pool.drain(),
        Do::Check => return pool.check_idle(Disposition::Keep),
        _ => Patience::ForEver,
    };
    let firing = match &patience {
        Patience::Until(token) => {
            let token = token.clone();
            Some(thread::spawn(move || token.fire()))
        }
        _ => None,
    };
    match pool.borrow(to, reuse, &patience) {
        Got::Nothing => {
            let is_patient = matches!(patience, Patience::ForEver);
            assert!(may_end || !is_patient, "{what:?} was not served");
        }
        Got::Dial(right) if what == Do::FailDial => pool.dial_failed(right),
        Got::Dial(right) => {
            if let Some(conn) = pool.dial(right) {
                end(pool, conn, what);
            }
        }
        Got::Conn(conn) => end(pool, conn, what),
    }
    if let Some(firing) = firing {
        firing.join().expect("no panic");
    }
}

fn end(pool: &Pool, conn: crate::fake::Conn, what: Do) {
    match what {
        Do::Discard => pool.discard(conn),
        Do::Release => pool.release_in_background(conn, Disposition::Keep),
        Do::Lend => {
            let cached = pool.leave(conn);
            cached.lend(pool, 3);
        }
        _ => pool.give_back(conn),
    }
}
