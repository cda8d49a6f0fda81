//! Small scenes of connections that are borrowed and brought back without the state, while others
//! call them in.

use std::sync::atomic::Ordering::SeqCst;

use crate::loans::CachedSlot;
use crate::pool::state::answer::Reuse;
use crate::scenarios::{borrow_and_return, ended, spawn};
use crate::scene::{limits, Got, Patience, Pool};
use crate::sync::{thread, Arc};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a fast-path return against a waiter", return_against_waiter),
    (
        "a fast-path return against a waiter elsewhere and a timeout",
        return_against_waiter_elsewhere,
    ),
    (
        "a fast-path return against a timeout",
        return_against_timeout,
    ),
    (
        "a fast-path loan's end by discard against a waiter elsewhere",
        discard_against_waiter_elsewhere,
    ),
    ("a fast-path borrow against a borrow", borrow_against_borrow),
    ("a fast-path borrow against another", borrow_against_another),
    (
        "a fast-path borrow against room for another destination",
        borrow_against_room,
    ),
    ("fast-path loans against an eviction", loans_against_evict),
    (
        "fast-path loans against close_idle",
        loans_against_close_idle,
    ),
    ("fast-path loans against a drain", loans_against_drain),
    ("fast-path loans against the reaper", loans_against_reaper),
    ("fast-path loans against a hang-up", loans_against_hang_up),
    ("fast-path loans against a get", loans_against_get),
    ("fast-path loans against a count", loans_against_count),
    (
        "fast-path loans against a fresh dial",
        loans_against_fresh_dial,
    ),
    ("fast-path loans against a dial", loans_against_dial),
    (
        "a fast-path loan's end by discard against the give-back before it",
        discard_against_give_back,
    ),
    ("a lost number against a give-back", lost_number),
    ("an unfit hit against an eviction", unfit_against_evict),
    (
        "an unfit hit against a count and a waiter",
        unfit_against_count,
    ),
    ("an unfit hit against a drain", unfit_against_drain),
];

fn lending(pool: &Arc<Pool>, cached: &CachedSlot, times: u32) -> thread::JoinHandle<bool> {
    let cached = cached.clone();
    spawn(pool, move |pool| cached.lend(pool, times))
}

fn waiting(pool: &Arc<Pool>, to: usize) -> thread::JoinHandle<bool> {
    spawn(pool, move |pool| {
        borrow_and_return(pool, to, &Patience::ForEver)
    })
}

fn is_gone(cached: &CachedSlot) -> bool {
    cached.facts.is_gone.load(SeqCst)
}

/// Hold against return: the waiter finds it on its shelf, or gets it when it comes back.
fn return_against_waiter() {
    let pool = Pool::plain(limits(1));
    let loan = pool.shelved(0).borrow(&pool).expect("it is there");
    let waiter = waiting(&pool, 0);
    loan.give_back(&pool);
    assert!(ended(waiter), "served");
    pool.check_at_rest();
}

fn return_against_waiter_elsewhere() {
    let pool = Pool::plain(limits(1));
    let loan = pool.shelved(0).borrow(&pool).expect("it is there");
    let patient = waiting(&pool, 1);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    loan.give_back(&pool);
    ended(hasty);
    assert!(ended(patient), "served");
    pool.check_at_rest();
}

fn return_against_timeout() {
    let pool = Pool::plain(limits(1));
    let loan = pool.shelved(0).borrow(&pool).expect("it is there");
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    loan.give_back(&pool);
    ended(hasty);
    pool.check_at_rest();
}

fn discard_against_waiter_elsewhere() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let loan = cached.borrow(&pool).expect("it is there");
    let waiter = waiting(&pool, 1);
    loan.discard(&pool);
    assert!(ended(waiter), "served by the slot");
    assert!(is_gone(&cached), "discarded");
    pool.check_at_rest();
}

fn borrow_against_borrow() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 2);
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(fast);
    pool.check_at_rest();
}

/// Two threads remember the same place, and somebody counts.
fn borrow_against_another() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let one = lending(&pool, &cached, 1);
    let other = lending(&pool, &cached, 1);
    let (idle, borrowed) = pool.count();
    assert_eq!(idle + borrowed, 1);
    ended(one);
    ended(other);
    pool.check_at_rest();
}

/// What is out is not closed to make room, and what was closed is not lent.
fn borrow_against_room() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 2);
    assert!(borrow_and_return(&pool, 1, &Patience::ForEver), "served");
    ended(fast);
    assert!(is_gone(&cached), "room was made");
    pool.check_at_rest();
}

/// Whoever had it then, it does not outlive the eviction.
fn loans_against_evict() {
    let pool = Pool::plain(limits(2));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 3);
    pool.evict();
    ended(fast);
    assert!(is_gone(&cached), "evicted");
    pool.check_at_rest();
}

/// What is out then is kept when it comes back.
fn loans_against_close_idle() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let loan = cached.borrow(&pool).expect("it is there");
    let closing = spawn(&pool, |pool| {
        pool.close_idle();
        true
    });
    let is_back_quickly = loan.give_back(&pool).is_some();
    ended(closing);
    assert!(is_back_quickly || !is_gone(&cached), "it was not idle");
    pool.check_at_rest();
}

fn loans_against_drain() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 2);
    pool.drain();
    assert!(is_gone(&cached), "all are home, and closed");
    ended(fast);
    pool.check_at_rest();
}

fn loans_against_reaper() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = spawn(&pool, move |pool| {
        let loan = cached.borrow(pool);
        let was_there = loan.is_some();
        loan.into_iter().for_each(|loan| loan.give_back_late(pool));
        was_there
    });
    let waiter = waiting(&pool, 1);
    pool.reap();
    ended(fast);
    assert!(ended(waiter), "served");
    pool.check_at_rest();
}

/// Idle or out, it is closed.
fn loans_against_hang_up() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 1);
    let borrower = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    pool.noticed(&cached.facts);
    ended(fast);
    ended(borrower);
    assert!(is_gone(&cached), "it hung up");
    pool.check_at_rest();
}

/// A borrower gives it user data; then it is not given away.
fn loans_against_get() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = spawn(&pool, move |pool| {
        let loan = cached.borrow(pool);
        let was_there = loan.is_some();
        if let Some(loan) = loan {
            loan.facts.has_data.store(true, SeqCst);
            loan.give_back(pool);
        }
        was_there
    });
    pool.get(0);
    ended(fast);
    pool.check_at_rest();
}

/// It is idle or borrowed, at any moment; and each loan is told once.
fn loans_against_count() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 3);
    let (idle, borrowed) = pool.count();
    assert_eq!(idle + borrowed, 1);
    ended(fast);
    pool.check_at_rest();
}

/// A fresh dial's limit goes by what is borrowed.
fn loans_against_fresh_dial() {
    let mut one = limits(2);
    one.max_conns_per_address = Some(1);
    let pool = Pool::plain(one);
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 2);
    match pool.borrow(0, Reuse::Never, &Patience::ForEver) {
        Got::Dial(right) => {
            let conn = pool.dialed(right).expect("an open pool");
            pool.give_back(conn);
        }
        got => panic!("{got:?}"),
    }
    ended(fast);
    assert!(is_gone(&cached), "room was made");
    pool.check_at_rest();
}

fn loans_against_dial() {
    let pool = Pool::plain(limits(2));
    let cached = pool.shelved(0);
    let fast = lending(&pool, &cached, 2);
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(fast);
    pool.check_at_rest();
}

/// Another thread remembers where it will be, and has it while its giver still holds the lock.
fn discard_against_give_back() {
    let pool = Pool::plain(limits(1));
    let conn = pool.opened(0);
    let cached = CachedSlot::of_return(&conn);
    let fast = spawn(&pool, move |pool| {
        let loan = cached.borrow(pool);
        let was_there = loan.is_some();
        loan.into_iter().for_each(|loan| loan.discard(pool));
        was_there
    });
    pool.give_back(conn);
    ended(fast);
    pool.check_at_rest();
}

/// Whenever its number became another's, nobody borrows it by the fast path any more.
fn lost_number() {
    let pool = Pool::plain(limits(1));
    let conn = pool.opened(0);
    let cached = CachedSlot::of_return(&conn);
    let facts = conn.facts.clone();
    let loser = spawn(&pool, move |_| {
        facts.loses_its_number();
        true
    });
    pool.give_back(conn);
    ended(loser);
    assert!(cached.borrow(&pool).is_none(), "it is not the pool's");
    pool.check_at_rest();
}

fn finding_it_unfit(pool: &Arc<Pool>, cached: &CachedSlot) -> thread::JoinHandle<bool> {
    let cached = cached.clone();
    spawn(pool, move |pool| {
        let loan = cached.borrow(pool);
        let was_there = loan.is_some();
        loan.into_iter().for_each(|loan| loan.is_unfit(pool));
        was_there
    })
}

fn unfit_against_evict() {
    let pool = Pool::plain(limits(2));
    let cached = pool.shelved(0);
    let fast = finding_it_unfit(&pool, &cached);
    pool.evict();
    ended(fast);
    assert!(is_gone(&cached), "evicted or unfit");
    pool.check_at_rest();
}

/// Its slot serves whoever waits; and what a count has seen stays counted.
fn unfit_against_count() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = finding_it_unfit(&pool, &cached);
    let waiter = waiting(&pool, 1);
    let (idle, borrowed) = pool.count();
    assert!(idle + borrowed <= 1);
    ended(fast);
    assert!(ended(waiter), "served");
    pool.check_at_rest();
}

fn unfit_against_drain() {
    let pool = Pool::plain(limits(1));
    let cached = pool.shelved(0);
    let fast = finding_it_unfit(&pool, &cached);
    pool.drain();
    assert!(is_gone(&cached), "all are home, and closed");
    ended(fast);
    pool.check_at_rest();
}
