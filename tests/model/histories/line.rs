//! Who is served first, where some wait for a slot and others for their turn to dial.

use super::*;

/// Destination a has a dial in flight and one that waits for its turn; b has all that it may have,
/// and one that waits for a slot.
fn line() -> (Scene, DialRight, Fake, [Ticket; 2]) {
    let [at, _, elsewhere] = destinations();
    let mut rules = unlimited();
    rules.limits.max_dials_per_address = Some(1);
    rules.limits.max_conns = Some(2);
    let mut scene = Scene::new(&rules);
    let right = scene.right(&at);
    let borrowed = scene.borrow(&elsewhere);
    let waits = [&at, &elsewhere].map(|to| match scene.take(to, Reuse::Never) {
        (ticket, Take::Wait) => ticket,
        (_, other) => panic!("{other:?}"),
    });
    (scene, right, borrowed, waits)
}

#[test]
fn who_waits_for_its_turn_is_passed_by_who_waits_for_a_slot() {
    let (mut scene, right, borrowed, [turn, slot]) = line();
    assert!(!scene.give_back(borrowed, Disposition::Close(CloseCause::Failed)));
    assert!(scene.state.collect(turn).is_none());
    assert!(matches!(scene.state.collect(slot), Some(Take::Dial(..))));
    // Its turn has come, and there is no slot: what comes back is closed for it.
    let conn = scene.dialed(right);
    assert!(scene.state.collect(turn).is_none());
    assert!(!scene.give_back(conn, Disposition::Keep));
    assert!(matches!(scene.state.collect(turn), Some(Take::Dial(..))));
    assert_eq!(scene.closed().len(), 2);
}

#[test]
fn the_older_is_served_where_both_could_be() {
    let (mut scene, right, _borrowed, [turn, slot]) = line();
    scene.fails(right);
    let first = scene.state.collect(turn).expect("fails or dials");
    assert!(matches!(first, Take::Refused(_)), "its destination failed");
    assert!(matches!(scene.state.collect(slot), Some(Take::Dial(..))));
}

/// One who has found several dead asks again.
fn take_distrusting(scene: &mut Scene, destination: &Arc<Destination>) -> Take<Fake> {
    let request = Request {
        destination,
        reuse: Reuse::Allowed,
        may_wait: false,
        distrusts_idle: true,
        has_waited: false,
    };
    let (now, effects) = (scene.now, &mut scene.effects);
    scene.state.take(request, now, || 0, effects).1
}

#[test]
fn who_distrusts_what_is_idle_dials_only_where_nothing_has_to_go_for_it() {
    let limits = [(Some(1), None), (None, Some(1)), (Some(2), Some(2))];
    for (max_conns, max_conns_per_address) in limits {
        let [at, ..] = destinations();
        let mut rules = unlimited();
        rules.limits.max_conns = max_conns;
        rules.limits.max_conns_per_address = max_conns_per_address;
        let mut scene = Scene::new(&rules);
        scene.put(&at);
        let taken = take_distrusting(&mut scene, &at);
        if max_conns == max_conns_per_address {
            assert!(matches!(taken, Take::Dial(..)), "{taken:?}");
        } else {
            assert!(matches!(taken, Take::Reuse(_)), "{taken:?}");
        }
        assert!(scene.closed().is_empty());
    }
}

#[test]
fn who_distrusts_what_is_idle_counts_what_is_borrowed_and_dialed() {
    for dials in [false, true] {
        let [at, _, elsewhere] = destinations();
        let mut rules = unlimited();
        rules.limits.max_conns = Some(3);
        let mut scene = Scene::new(&rules);
        scene.put(&at);
        let right = scene.right(&elsewhere);
        let _borrowed = dials.then(|| scene.borrow(&elsewhere));
        let taken = take_distrusting(&mut scene, &at);
        assert_eq!(matches!(taken, Take::Reuse(_)), dials, "{right:?}");
    }
}

#[test]
fn a_waiter_over_max_waiters_is_sent_away_and_one_who_waited_is_not() {
    let [at, ..] = destinations();
    let mut rules = unlimited();
    rules.limits.max_conns = Some(1);
    rules.limits.max_waiters = Some(1);
    let mut scene = Scene::new(&rules);
    let _borrowed = scene.borrow(&at);
    let (_, first) = scene.take(&at, Reuse::Allowed);
    assert!(matches!(first, Take::Wait));
    let (_, second) = scene.take(&at, Reuse::Allowed);
    let Take::Refused(Refusal::TooManyWait(numbers, 1)) = second else {
        panic!("{second:?}");
    };
    assert_eq!((numbers.borrowed, numbers.waiting), (1, 1));
    let request = Request {
        destination: &at,
        reuse: Reuse::Allowed,
        may_wait: true,
        distrusts_idle: false,
        has_waited: true,
    };
    let (now, effects) = (scene.now, &mut scene.effects);
    let (_, third) = scene.state.take(request, now, || 0, effects);
    assert!(matches!(third, Take::Wait));
    let stats = scene.state.stats();
    assert_eq!((stats.waiting, stats.counters.waits), (2, 2));
}
