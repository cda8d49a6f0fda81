//! Small scenes for every order of events: three threads at the most.

use std::sync::atomic::Ordering::SeqCst;

use crate::pool::state::answer::Reuse;
use crate::scene::{limits, CancelToken, Got, Patience, Pool};
use crate::sync::{thread, Arc};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a give-back against a timeout", give_back_against_timeout),
    (
        "a give-back against a cancellation",
        give_back_against_cancel,
    ),
    (
        "a give-back against the pool's close",
        give_back_against_close,
    ),
    ("a give-back against an eviction", give_back_against_evict),
    (
        "a give-back against a second waiter",
        give_back_against_second_waiter,
    ),
    (
        "a give-back with a timeout in front of the line",
        timeout_in_front,
    ),
    (
        "a discarded connection's slot against a timeout",
        discard_against_timeout,
    ),
    (
        "a failed dial's slot against a waiter",
        failed_dial_against_waiter,
    ),
    (
        "a failed dial's slot against a cancellation",
        failed_dial_against_cancel,
    ),
    (
        "the reaper against a borrow and a give-back",
        reaper_against_borrow,
    ),
    ("a hang-up against a borrow", hang_up_against_borrow),
    (
        "a dial's own connect against a give-back",
        connect_against_give_back,
    ),
    (
        "two dials against one give-back",
        two_dials_against_one_give_back,
    ),
    (
        "a dial in flight against the pool's close",
        dial_against_close,
    ),
    (
        "a drain against a give-back and a waiter",
        drain_against_give_back,
    ),
    ("a put against a timeout", put_against_timeout),
    ("room made for another destination", room_for_another),
    ("a turn to dial against a timeout", turn_against_timeout),
];

/// Borrows, and gives back what it got; whatever it got.
pub(crate) fn borrow_and_return(pool: &Arc<Pool>, to: usize, patience: &Patience) -> bool {
    match pool.borrow(to, Reuse::Allowed, patience) {
        Got::Conn(conn) => pool.give_back(conn),
        Got::Dial(right) => match pool.dial(right) {
            Some(conn) => pool.give_back(conn),
            None => return false,
        },
        Got::Nothing => return false,
    }
    true
}

pub(crate) fn spawn(
    pool: &Arc<Pool>,
    work: impl FnOnce(&Arc<Pool>) -> bool + Send + 'static,
) -> thread::JoinHandle<bool> {
    let pool = pool.clone();
    thread::spawn(move || work(&pool))
}

pub(crate) fn ended(one: thread::JoinHandle<bool>) -> bool {
    one.join().expect("no panic")
}

fn give_back_against_timeout() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let waiter = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    pool.give_back(conn);
    ended(waiter);
    pool.check_at_rest();
}

fn give_back_against_cancel() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let token = Arc::<CancelToken>::default();
    let patience = Patience::Until(token.clone());
    let waiter = spawn(&pool, move |pool| borrow_and_return(pool, 0, &patience));
    let firing = spawn(&pool, move |_| {
        token.fire();
        true
    });
    pool.give_back(conn);
    ended(waiter);
    ended(firing);
    pool.check_at_rest();
}

fn give_back_against_close() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let waiter = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let closing = spawn(&pool, |pool| {
        pool.close();
        true
    });
    pool.give_back(conn);
    ended(waiter);
    ended(closing);
    pool.check_at_rest();
}

fn give_back_against_evict() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let waiter = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let evicting = spawn(&pool, |pool| {
        pool.evict();
        true
    });
    pool.give_back(conn);
    assert!(ended(waiter), "served, by the connection or by its slot");
    ended(evicting);
    pool.check_at_rest();
}

/// Who stood in line first is served first.
fn give_back_against_second_waiter() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let first = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let second = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    pool.give_back(conn);
    assert!(ended(first) && ended(second), "served");
    pool.check_order();
    pool.check_at_rest();
}

/// Whatever becomes of the first, the one behind it is served.
fn timeout_in_front() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    let patient = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    pool.give_back(conn);
    ended(hasty);
    assert!(ended(patient), "served");
    pool.check_at_rest();
}

fn discard_against_timeout() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    let patient = spawn(&pool, |pool| borrow_and_return(pool, 1, &Patience::ForEver));
    pool.discard(conn);
    ended(hasty);
    assert!(ended(patient), "served by the slot");
    pool.check_at_rest();
}

fn failed_dial_against_waiter() {
    let pool = Pool::new(limits(1));
    let Got::Dial(right) = pool.borrow(0, Reuse::Allowed, &Patience::ForEver) else {
        panic!("an empty pool dials");
    };
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    let patient = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    pool.dial_failed(right);
    ended(hasty);
    assert!(ended(patient), "one failed dial fails one caller");
    pool.check_at_rest();
}

fn failed_dial_against_cancel() {
    let pool = Pool::new(limits(1));
    let Got::Dial(right) = pool.borrow(0, Reuse::Allowed, &Patience::ForEver) else {
        panic!("an empty pool dials");
    };
    let token = Arc::<CancelToken>::default();
    let patience = Patience::Until(token.clone());
    let waiter = spawn(&pool, move |pool| borrow_and_return(pool, 0, &patience));
    let firing = spawn(&pool, move |_| {
        token.fire();
        true
    });
    pool.dial_failed(right);
    ended(waiter);
    ended(firing);
    pool.check_at_rest();
}

fn reaper_against_borrow() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    pool.give_back(conn);
    let reaper = spawn(&pool, |pool| {
        pool.reap();
        true
    });
    let borrower = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    assert!(ended(borrower), "served");
    ended(reaper);
    pool.check_at_rest();
}

fn hang_up_against_borrow() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let id = conn.id;
    pool.give_back(conn);
    let watch = spawn(&pool, move |pool| {
        // The only node there is.
        pool.hung_up(id, 0);
        true
    });
    let borrower = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(borrower);
    ended(watch);
    pool.check_at_rest();
}

fn connect_against_give_back() {
    let pool = Pool::new(limits(2));
    let conn = pool.opened(0);
    let dialer = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    pool.give_back(conn);
    assert!(ended(dialer), "served, by whichever came first");
    pool.check_at_rest();
}

fn two_dials_against_one_give_back() {
    let pool = Pool::new(limits(3));
    let conn = pool.opened(0);
    let first = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let second = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    pool.give_back(conn);
    assert!(ended(first) && ended(second), "served");
    pool.check_at_rest();
}

fn dial_against_close() {
    let pool = Pool::new(limits(2));
    let conn = pool.opened(0);
    let dialer = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let closing = spawn(&pool, |pool| {
        pool.close();
        true
    });
    pool.give_back(conn);
    ended(dialer);
    ended(closing);
    pool.check_at_rest();
}

fn drain_against_give_back() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(0);
    let facts = conn.facts.clone();
    let waiter = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let draining = spawn(&pool, move |pool| {
        pool.drain();
        assert!(facts.is_gone.load(SeqCst), "all are home, and closed");
        true
    });
    pool.give_back(conn);
    ended(waiter);
    ended(draining);
    pool.check_at_rest();
}

fn put_against_timeout() {
    let pool = Pool::new(limits(2));
    let conn = pool.opened(0);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    let putting = spawn(&pool, |pool| {
        pool.put(0);
        true
    });
    pool.give_back(conn);
    ended(hasty);
    ended(putting);
    pool.check_at_rest();
}

fn room_for_another() {
    let pool = Pool::new(limits(1));
    let conn = pool.opened(1);
    pool.give_back(conn);
    let same = spawn(&pool, |pool| borrow_and_return(pool, 1, &Patience::ForEver));
    let other = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    assert!(ended(same) && ended(other), "served");
    pool.check_at_rest();
}

fn turn_against_timeout() {
    let mut one_at_once = limits(3);
    one_at_once.max_dials_per_address = Some(1);
    let pool = Pool::new(one_at_once);
    let Got::Dial(right) = pool.borrow(0, Reuse::Never, &Patience::ForEver) else {
        panic!("an empty pool dials");
    };
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    let patient = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::ForEver));
    let conn = pool.dialed(right).expect("an open pool");
    pool.discard(conn);
    ended(hasty);
    assert!(ended(patient), "served when it was its turn");
    pool.check_at_rest();
}
