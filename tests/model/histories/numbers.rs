//! What is counted and told: statistics, numbers by destination, texts of refusals.

use super::*;
use crate::pool::state::answer::LimitReached;
use crate::pool::state::counters::Counters;
use crate::values::error::{Error, Status};

#[test]
fn each_cause_of_a_close_has_its_counter() {
    let one = |cause: CloseCause| {
        let mut counters = Counters::default();
        counters.closed(cause);
        let named = counters.named();
        let counted: Vec<_> = named.iter().filter(|one| one.value > 0).collect();
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].value, 1);
        counted[0].name
    };
    for (cause, name) in [
        (CloseCause::StaleAtBorrow, "stale_at_borrow"),
        (CloseCause::DirtyAtBorrow, "dirty_at_borrow"),
        (CloseCause::PeerClosedWhileIdle, "closed_while_idle"),
        (CloseCause::DirtyWhileIdle, "closed_while_idle"),
        (CloseCause::IdleTimeout, "closed_idle_timeout"),
        (CloseCause::Lifetime, "closed_lifetime"),
        (CloseCause::MaxUses, "closed_max_uses"),
        (CloseCause::IdleFull, "closed_idle_full"),
        (CloseCause::Evicted, "closed_evicted"),
        (CloseCause::Discarded, "closed_discarded"),
        (CloseCause::Failed, "closed_discarded"),
        (CloseCause::PeerClosedAtGiveBack, "closed_discarded"),
        (CloseCause::Hook, "closed_hook"),
        (CloseCause::ForeignFd, "closed_foreign_fd"),
        (CloseCause::PoolClosed, "closed_discarded"),
        (CloseCause::PoolClosedWhileIdle, "closed_evicted"),
    ] {
        assert_eq!(one(cause), name);
    }
}

#[test]
fn a_closed_one_that_had_lost_its_number_is_counted_as_foreign_instead() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&unlimited());
    let conn = scene.borrow(&at);
    assert!(!scene.give_back(conn, Disposition::Close(CloseCause::Discarded)));
    assert_eq!(scene.state.stats().counters.closed_discarded, 1);
    scene.state.count_as_foreign(CloseCause::Discarded);
    let counters = scene.state.stats().counters;
    assert_eq!(
        (counters.closed_discarded, counters.closed_foreign_fd),
        (0, 1)
    );
}

#[test]
fn what_others_count_is_added_up() {
    let mut scene = Scene::new(&unlimited());
    let state = &mut scene.state;
    state.count_leaks(2);
    state.count_leaks(3);
    state.add_wait_time(Duration::from_micros(1_500));
    state.add_wait_time(Duration::from_micros(2));
    state.count_reuse();
    state.count_reuse();
    state.uncount_reuse();
    state.begin_release();
    state.begin_release();
    state.end_release();
    let stats = state.stats();
    assert_eq!((stats.counters.leaks, stats.counters.wait_us), (5, 1_502));
    assert_eq!((stats.counters.reuses, stats.releasing), (1, 1));
}

#[test]
fn the_numbers_of_each_destination_are_its_own() {
    let [at, tagged, elsewhere] = destinations();
    let mut rules = unlimited();
    rules.limits.max_conns_per_address = Some(3);
    let mut scene = Scene::new(&rules);
    for _ in 0..2 {
        scene.put(&at);
    }
    let _right = scene.right(&at);
    let _borrowed = [0, 1, 2].map(|_| scene.borrow(&elsewhere));
    let (_, taken) = scene.take(&elsewhere, Reuse::Allowed);
    assert!(matches!(taken, Take::Wait));
    scene.put(&tagged);

    let all = scene.state.numbers_by_destination();
    let numbers = |number: usize| {
        let one = &all[number];
        (one.idle, one.borrowed, one.dialing, one.waiting)
    };
    assert_eq!(all.len(), 3);
    assert_eq!(numbers(0), (2, 0, 1, 0));
    assert_eq!(numbers(1), (1, 0, 0, 0));
    assert_eq!(numbers(2), (0, 3, 0, 1));
    let sorted: Vec<_> = all.iter().map(|one| one.destination.clone()).collect();
    assert_eq!(sorted, [at.clone(), tagged, elsewhere.clone()]);

    let state = &mut scene.state;
    assert_eq!((state.destinations(), state.conn_count()), (3, 6));
    assert_eq!(state.idle_count(None), 3);
    assert_eq!(state.idle_count(Some(&at.address)), 3, "whatever the tag");
    assert_eq!(state.idle_count(Some(&elsewhere.address)), 0);
    assert_eq!((state.idle_of(&at), state.idle_of(&elsewhere)), (2, 0));
    let stats = state.stats();
    let gauges = (stats.idle, stats.borrowed, stats.dialing, stats.waiting);
    assert_eq!(gauges, (3, 3, 1, 1));
}

#[test]
fn a_refusal_is_told_with_its_limit_and_its_numbers() {
    let numbers = LimitReached {
        limit: Some(("max_conns", 4)),
        idle: 1,
        borrowed: 2,
        dialing: 3,
        waiting: 5,
    };
    let free = LimitReached {
        limit: None,
        ..numbers.clone()
    };
    let failed = Arc::new(Error::new(Status::Connect, "refused"));
    let full = Refusal::IdleFull {
        limit: "max_idle",
        max: 7,
    };
    let told = "idle=1 borrowed=2 dialing=3 waiting=5";
    for (refusal, status, text) in [
        (
            Refusal::PoolClosed,
            Status::PoolClosed,
            "the pool is closed".to_owned(),
        ),
        (
            Refusal::NothingIdle,
            Status::NotAvailable,
            "no idle connection".to_owned(),
        ),
        (
            Refusal::FailedBefore(failed),
            Status::Connect,
            "refused (a moment ago: fail_fast_ms)".to_owned(),
        ),
        (
            full,
            Status::IdleFull,
            "no room for an idle connection: max_idle=7".to_owned(),
        ),
        (
            Refusal::Exhausted(numbers.clone()),
            Status::PoolExhausted,
            format!("pool exhausted: max_conns=4 {told} (wait_timeout_ms=0: not waiting)"),
        ),
        (
            Refusal::TooManyWait(numbers, 9),
            Status::PoolExhausted,
            format!("pool exhausted: max_conns=4 {told} (max_waiters=9)"),
        ),
    ] {
        let error = Error::from(refusal);
        assert_eq!(error.status, status);
        assert_eq!(error.message.to_string(), text);
    }
    assert_eq!(free.to_string(), told);
}

#[test]
fn who_waits_for_what_is_borrowed_is_woken_by_the_last_or_leaves() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&unlimited());
    let (first, second) = (scene.borrow(&at), scene.borrow(&at));
    let (count, _) = scene.state.wait_until_returned(&1);
    assert_eq!(count, 2);
    let (_, left) = scene.state.wait_until_returned(&2);
    scene.state.stop_waiting_until_returned(left);
    scene.keep(first);
    assert_eq!(scene.wakes(), 0);
    scene.keep(second);
    assert_eq!(scene.wakes(), 1);
    let (count, _) = scene.state.wait_until_returned(&3);
    assert_eq!(count, 0);
    let conn = scene.reuse(&at);
    scene.keep(conn);
    assert_eq!(scene.wakes(), 0, "it did not wait");
}
