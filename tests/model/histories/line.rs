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
