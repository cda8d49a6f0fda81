//! Small scenes of on_release in the background and of on_idle: the library's own borrows against
//! everything else. Three threads at the most.

use std::sync::atomic::Ordering::SeqCst;

use crate::pool::state::answer::Disposition;
use crate::pool::state::counters::CloseCause;
use crate::scenarios::{borrow_and_return, ended, spawn};
use crate::scene::{limits, CancelToken, Patience, Pool};
use crate::sync::{thread, Arc};

pub(crate) const ALL: &[(&str, fn())] = &[
    (
        "a background release against a timeout",
        release_against_timeout,
    ),
    (
        "a background release against a cancellation",
        release_against_cancel,
    ),
    (
        "a background release against a drain",
        release_against_drain,
    ),
    (
        "a background release against an eviction",
        release_against_evict,
    ),
    (
        "a refused background release against a waiter elsewhere",
        refused_release_against_waiter,
    ),
    ("on_idle against a borrow", check_against_borrow),
    ("on_idle against a timeout", check_against_timeout),
    ("on_idle against close_idle", check_against_close_idle),
    ("on_idle against an eviction", check_against_evict),
    ("on_idle against a drain", check_against_drain),
    ("on_idle against the reaper", check_against_reaper),
    ("on_idle against a hang-up", check_against_hang_up),
    (
        "a refusal of on_idle against a waiter",
        refused_check_against_waiter,
    ),
    (
        "on_idle against room for another destination",
        check_against_room,
    ),
    ("on_idle against another checker", check_against_check),
    ("on_idle against fast-path loans", check_against_loans),
    (
        "on_idle against fast-path loans and a waiter",
        check_against_loans_and_waiter,
    ),
];

const REFUSED: Disposition = Disposition::Close(CloseCause::Hook);

fn releasing(pool: &Arc<Pool>, disposition: Disposition) -> thread::JoinHandle<bool> {
    let conn = pool.opened(0);
    spawn(pool, move |pool| {
        pool.release_in_background(conn, disposition);
        true
    })
}

fn checking(pool: &Arc<Pool>, disposition: Disposition) -> thread::JoinHandle<bool> {
    spawn(pool, move |pool| {
        pool.check_idle(disposition);
        true
    })
}

fn waiting(pool: &Arc<Pool>, to: usize) -> thread::JoinHandle<bool> {
    spawn(pool, move |pool| {
        borrow_and_return(pool, to, &Patience::ForEver)
    })
}

/// One idle connection, which on_idle is to be asked about.
fn idle_one(max_conns: u32) -> Arc<Pool> {
    let pool = Pool::checking(limits(max_conns));
    let conn = pool.opened(0);
    pool.give_back(conn);
    pool
}

fn release_against_timeout() {
    let pool = Pool::new(limits(1));
    let release = releasing(&pool, Disposition::Keep);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(hasty);
    ended(release);
    pool.check_at_rest();
}

fn release_against_cancel() {
    let pool = Pool::new(limits(1));
    let release = releasing(&pool, Disposition::Keep);
    let token = Arc::<CancelToken>::default();
    let patience = Patience::Until(token.clone());
    let waiter = spawn(&pool, move |pool| borrow_and_return(pool, 0, &patience));
    token.fire();
    ended(waiter);
    ended(release);
    pool.check_at_rest();
}

/// A drain counts it as borrowed.
fn release_against_drain() {
    let pool = Pool::new(limits(1));
    let release = releasing(&pool, Disposition::Keep);
    let waiter = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    pool.drain();
    pool.check_none_is_left();
    ended(waiter);
    ended(release);
    pool.check_at_rest();
}

fn release_against_evict() {
    let pool = Pool::new(limits(1));
    let release = releasing(&pool, Disposition::Keep);
    let waiter = waiting(&pool, 0);
    pool.evict();
    assert!(ended(waiter), "served, by the connection or by its slot");
    ended(release);
    pool.check_at_rest();
}

fn refused_release_against_waiter() {
    let pool = Pool::new(limits(1));
    let release = releasing(&pool, REFUSED);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    assert!(borrow_and_return(&pool, 1, &Patience::ForEver), "served");
    ended(hasty);
    ended(release);
    pool.check_at_rest();
}

/// Whoever comes meanwhile waits for it, and gets it.
fn check_against_borrow() {
    let pool = idle_one(1);
    let checker = checking(&pool, Disposition::Keep);
    let borrower = waiting(&pool, 0);
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    assert!(ended(borrower), "served");
    ended(checker);
    pool.check_at_rest();
}

fn check_against_timeout() {
    let pool = idle_one(1);
    let checker = checking(&pool, Disposition::Keep);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    assert!(borrow_and_return(&pool, 1, &Patience::ForEver), "served");
    ended(hasty);
    ended(checker);
    pool.check_at_rest();
}

/// What was idle then is gone, asked about or not.
fn check_against_close_idle() {
    let pool = idle_one(2);
    let checker = checking(&pool, Disposition::Keep);
    let borrower = waiting(&pool, 1);
    pool.close_idle();
    ended(checker);
    assert!(ended(borrower), "served");
    assert!(pool.is_gone(0), "it was idle, or asked about");
    pool.check_at_rest();
}

fn check_against_evict() {
    let pool = idle_one(1);
    let checker = checking(&pool, Disposition::Keep);
    let borrower = waiting(&pool, 0);
    pool.evict();
    assert!(ended(borrower), "served, by the connection or by its slot");
    ended(checker);
    assert!(pool.is_gone(0), "evicted");
    pool.check_at_rest();
}

fn check_against_drain() {
    let pool = idle_one(1);
    let checker = checking(&pool, Disposition::Keep);
    let borrower = spawn(&pool, |pool| borrow_and_return(pool, 0, &Patience::Ends));
    pool.drain();
    pool.check_none_is_left();
    ended(borrower);
    ended(checker);
    pool.check_at_rest();
}

fn check_against_reaper() {
    let pool = idle_one(1);
    let checker = checking(&pool, Disposition::Keep);
    let reaper = spawn(&pool, |pool| {
        pool.reap();
        true
    });
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(reaper);
    ended(checker);
    pool.check_at_rest();
}

fn check_against_hang_up() {
    let pool = idle_one(1);
    let id = pool.id_of(0);
    let checker = checking(&pool, Disposition::Keep);
    let watch = spawn(&pool, move |pool| {
        // The only node there is.
        pool.hung_up(id, 0);
        true
    });
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(watch);
    ended(checker);
    pool.check_at_rest();
}

fn refused_check_against_waiter() {
    let pool = idle_one(1);
    let checker = checking(&pool, REFUSED);
    let hasty = spawn(&pool, |pool| borrow_and_return(pool, 1, &Patience::Ends));
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(hasty);
    ended(checker);
    pool.check_at_rest();
}

fn check_against_room() {
    let pool = idle_one(1);
    let checker = checking(&pool, Disposition::Keep);
    assert!(borrow_and_return(&pool, 1, &Patience::ForEver), "served");
    ended(checker);
    assert!(pool.is_gone(0), "it made room");
    pool.check_at_rest();
}

/// The engine has counted two checkers for two connections: none is asked about twice at once.
fn check_against_check() {
    let pool = Pool::checking(limits(2));
    let (one, other) = (pool.opened(0), pool.opened(0));
    pool.give_back(one);
    pool.give_back(other);
    let checkers = pool.start_checkers();
    assert_eq!(checkers, 2);
    let first = spawn(&pool, |pool| {
        pool.run_checker(Disposition::Keep);
        true
    });
    pool.run_checker(Disposition::Keep);
    ended(first);
    assert_eq!(pool.idle_checks(), 2);
    pool.check_at_rest();
}

fn check_against_loans() {
    let pool = Pool::plain_and_checking(limits(1));
    let cached = pool.shelved(0);
    let checker = checking(&pool, Disposition::Keep);
    let lender = {
        let cached = cached.clone();
        spawn(&pool, move |pool| cached.lend(pool, 2))
    };
    ended(lender);
    ended(checker);
    assert!(!cached.facts.is_gone.load(SeqCst), "kept");
    pool.check_at_rest();
}

fn check_against_loans_and_waiter() {
    let pool = Pool::plain_and_checking(limits(1));
    let cached = pool.shelved(0);
    let checker = checking(&pool, Disposition::Keep);
    let lender = spawn(&pool, move |pool| cached.lend(pool, 1));
    assert!(borrow_and_return(&pool, 0, &Patience::ForEver), "served");
    ended(lender);
    ended(checker);
    pool.check_at_rest();
}
