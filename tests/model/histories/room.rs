//! What one transition may do, how many are told at once, and the memory that lists keep.

use super::*;
use crate::pool::state::answer::ARM_AFTER;
use crate::pool::state::closing::unfinished::Unfinished;
use crate::pool::state::held::Held;
use crate::pool::state::idle_list::{IdleList, Shelf};
use crate::values::options::ReuseOrder;

fn spacious() -> Rules {
    let mut rules = unlimited();
    rules.limits.max_idle_per_address = 100_000;
    rules
}

impl Scene {
    /// How many were closed at once, and then by each going on.
    fn rounds_of(&mut self, mut unfinished: Unfinished) -> Vec<usize> {
        let mut rounds = vec![self.closed().len()];
        while !unfinished.is_nothing() {
            self.state
                .go_on(&mut unfinished, self.now, &mut self.effects);
            rounds.push(self.closed().len());
        }
        rounds
    }
}

#[test]
fn closes_and_wakes_together_make_many() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&spacious());
    for _ in 0..3 {
        scene.put(&at);
    }
    scene.effects = Effects::at_most(3);
    scene.effects.wakes.push(0);
    let cause = CloseCause::Evicted;
    let unfinished = scene.state.close_idle(cause, scene.now, &mut scene.effects);
    assert!(!unfinished.is_nothing());
    assert_eq!(scene.closed().len(), 2, "with the one that is woken");
}

#[test]
fn a_large_close_goes_on_where_it_stopped() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&spacious());
    for _ in 0..150 {
        scene.put(&at);
    }
    let unfinished = scene
        .state
        .evict(Some(&at.address), scene.now, &mut scene.effects);
    assert_eq!(scene.rounds_of(unfinished), [64, 64, 22]);
}

#[test]
fn what_a_lower_limit_closes_goes_on_where_it_stopped() {
    let [at, ..] = destinations();
    let mut rules = spacious();
    let mut scene = Scene::new(&rules);
    for _ in 0..150 {
        scene.put(&at);
    }
    rules.limits.max_idle = Some(10);
    let (limits, keeping) = (rules.limits.clone(), rules.keeping.clone());
    let (now, effects) = (scene.now, &mut scene.effects);
    let unfinished = scene.state.set_limits(limits, keeping, now, effects);
    assert_eq!(scene.rounds_of(unfinished), [64, 64, 12]);
}

#[test]
fn what_has_no_uses_left_is_not_lent_while_it_is_being_closed() {
    let [at, ..] = destinations();
    let mut rules = spacious();
    let mut scene = Scene::new(&rules);
    let used: Vec<_> = (0..150).map(|_| scene.borrow(&at)).collect();
    for conn in used {
        conn.uses.set(2);
        scene.keep(conn);
    }
    rules.keeping.max_uses = Some(2);
    let (limits, keeping) = (rules.limits.clone(), rules.keeping.clone());
    let (now, effects) = (scene.now, &mut scene.effects);
    let unfinished = scene.state.set_limits(limits, keeping, now, effects);
    assert_eq!(scene.closed().len(), 64);
    let (_, taken) = scene.take(&at, Reuse::Only);
    assert!(matches!(taken, Take::Refused(Refusal::NothingIdle)));
    assert_eq!(scene.rounds_of(unfinished), [0, 64, 22]);
}

#[test]
fn so_many_are_armed_in_one_look_and_the_rest_in_the_next() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&spacious());
    for _ in 0..1_030 {
        scene.put(&at);
    }
    scene.pass(ARM_AFTER);
    let first = scene.state.reap(scene.now, &mut scene.effects);
    assert_eq!((first.to_arm.len(), first.next), (1_024, scene.now));
}

#[test]
fn so_many_lifetimes_end_in_one_look_and_the_rest_in_the_next() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&spacious());
    let end = scene.now.after(ms(1));
    for _ in 0..1_030 {
        scene.conns += 1;
        let id = scene.conns;
        let build = |to, _| Ok::<_, Refusal>(Fake::new(id, to, end, true));
        let (now, effects) = (scene.now, &mut scene.effects);
        assert!(scene.state.admit(&at, build, now, effects).is_ok());
    }
    scene.now = end;
    let first = scene.state.reap(scene.now, &mut scene.effects);
    assert_eq!((first.retired.len(), first.next), (1_024, end));
    let second = scene.state.reap(scene.now, &mut scene.effects);
    assert_eq!(second.retired.len(), 6);
}

#[test]
fn room_for_one_more_is_made_for_all_that_may_come_back() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&spacious());
    let borrowed: Vec<_> = (0..200).map(|_| scene.borrow(&at)).collect();
    assert!(scene.state.try_reserve_one().is_ok());
    let room = scene.state.idle.capacity();
    assert!(room > 200);
    for conn in borrowed {
        scene.keep(conn);
    }
    assert_eq!(
        scene.state.idle.capacity(),
        room,
        "a give-back finds its node"
    );
}

#[test]
fn destinations_that_come_and_go_use_the_same_numbers() {
    let mut scene = Scene::new(&unlimited());
    let ids: Vec<_> = (0..20)
        .map(|number| {
            let conn = scene.borrow(&numbered(number));
            let id = conn.destination_id();
            assert!(!scene.give_back(conn, Disposition::Close(CloseCause::Failed)));
            id
        })
        .collect();
    assert_eq!(ids, [0; 20]);
    assert_eq!(scene.state.destinations(), 0);
}

#[test]
fn the_memory_of_many_destinations_is_given_back_with_the_last() {
    for (count, is_kept) in [(16, true), (17, false)] {
        let mut rules = unlimited();
        rules.on_idle = Some(ms(1));
        let mut scene = Scene::new(&rules);
        assert!(scene.state.try_reserve_one().is_ok());
        let conns: Vec<_> = (0..count).map(|one| scene.borrow(&numbered(one))).collect();
        for conn in conns {
            assert!(!scene.give_back(conn, Disposition::Close(CloseCause::Failed)));
        }
        assert_eq!(scene.state.entries.capacity() > 0, is_kept, "{count}");
        assert_eq!(scene.state.checks.capacity() > 0, is_kept);
    }
}

#[test]
fn an_idle_one_that_pleases_nobody_stays() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&unlimited_and_plain());
    scene.put(&at);
    scene.put(&at);
    let (now, effects) = (scene.now, &mut scene.effects);
    let second = scene
        .state
        .take_idle(&at, |conn| conn.id == 2, now, effects);
    assert_eq!(second.map(|conn| conn.id), Some(2));
    let none = scene
        .state
        .take_idle(&at, |conn| conn.id == 2, now, effects);
    assert!(none.is_none());
    assert_eq!(scene.state.idle_of(&at), 1);
}

#[test]
fn what_was_evicted_or_borrowed_often_enough_is_used_up() {
    let [at, ..] = destinations();
    let mut rules = unlimited();
    rules.keeping.max_uses = Some(3);
    let mut scene = Scene::new(&rules);
    let (conn, evicted) = (scene.borrow(&at), scene.borrow(&at));
    for (uses, is_used_up) in [(2, false), (3, true), (4, true)] {
        conn.uses.set(uses);
        assert_eq!(scene.state.is_used_up(&conn), is_used_up);
    }
    assert!(!scene.state.is_used_up(&evicted));
    let address = Some(&at.address);
    let unfinished = scene.state.evict(address, scene.now, &mut scene.effects);
    assert!(unfinished.is_nothing() && scene.state.is_used_up(&evicted));
}

#[test]
fn the_list_of_idle_ones_grows_to_few_and_then_to_many() {
    let mut list = IdleList::<Fake>::new();
    assert!(list.try_reserve(10).is_ok_and(|nodes| nodes == 10));
    assert!((10..64).contains(&list.capacity()));
    assert!(list.try_reserve(100).is_ok_and(|nodes| nodes == 100));
    let few = list.capacity();
    assert!((100..4_096).contains(&few));
    assert!(list.try_reserve(few as u32).is_ok());
    assert_eq!(list.capacity(), few, "there is room");
    assert!(list.try_reserve(few as u32 + 1).is_ok());
    assert_eq!(list.capacity(), 4_096);
    assert!(list.try_reserve(5_000).is_ok());
    assert!(list.capacity() >= 5_000);
}

#[test]
fn nodes_that_were_used_and_those_that_are_lent_have_room() {
    let mut list = IdleList::new();
    let mut shelf = Shelf::EMPTY;
    let now = Time::default();
    let nodes = [1, 2, 3].map(|id| list.push(&mut shelf, 0, Fake::new(id, 0, now, false), now));
    let lent = list.lend_node(&mut shelf, nodes[0]).expect("idle");
    assert_eq!((list.len(), shelf.len(), list.places()), (2, 2, 3));
    assert!(list.try_reserve(4).is_ok_and(|nodes| nodes == 7));
    list.return_node(&mut shelf, nodes[0], lent);
    list.remove(&mut shelf, nodes[1]);
    assert!(list.try_reserve(0).is_ok_and(|nodes| nodes == 3));
    list.trim();
    assert_eq!((list.len(), list.places()), (2, 3), "two are idle");
    let lent = list.lend_node(&mut shelf, nodes[0]).expect("idle");
    list.remove(&mut shelf, nodes[2]);
    list.trim();
    assert_eq!(list.places(), 3, "one will come back");
    list.drop_node(&mut shelf, nodes[0]);
    list.trim();
    assert_eq!((list.places(), list.capacity()), (0, 0));
    drop(lent);
}

#[test]
fn a_node_that_is_free_is_used_again() {
    let mut list = IdleList::new();
    let mut shelf = Shelf::EMPTY;
    let now = Time::default();
    for id in 0..5 {
        let node = list.push(&mut shelf, 0, Fake::new(id, 0, now, false), now);
        assert!(list
            .remove(&mut shelf, node)
            .is_some_and(|(conn, _)| conn.id == id));
        assert_eq!(list.places(), 1);
    }
}

#[test]
fn a_caller_that_finds_only_what_is_too_old_leaves_nothing_behind() {
    let [at, ..] = destinations();
    let mut rules = unlimited();
    rules.keeping.idle_timeout = Some(ms(1_000));
    let mut scene = Scene::new(&rules);
    scene.put(&at);
    scene.pass(ms(1_000));
    let (_, taken) = scene.take(&at, Reuse::Only);
    assert!(matches!(taken, Take::Refused(Refusal::NothingIdle)));
    assert_eq!(scene.closed(), [(1, CloseCause::IdleTimeout)]);
    assert_eq!(scene.state.destinations(), 0);
}

#[test]
fn a_slot_that_is_not_told_yet_is_not_dialed_for_the_idle_list() {
    let [at, _, elsewhere] = destinations();
    let mut rules = unlimited();
    rules.limits.max_conns = Some(1);
    let mut scene = Scene::new(&rules);
    scene.state = scene.state.observed();
    let conn = scene.borrow(&at);
    assert!(!scene.give_back(conn, Disposition::Close(CloseCause::Failed)));
    let (now, closed) = (scene.now, scene.effects.closes.remove(0));
    let refused = scene.state.take_for_idle(&elsewhere, 1, now);
    assert!(matches!(refused, Err(Refusal::Exhausted(_))));
    let untold = closed.untold.expect("there is an on_event");
    scene.state.told(untold, now, &mut scene.effects);
    let taken = scene.state.take_for_idle(&elsewhere, 1, now);
    assert!(matches!(taken, Ok(Some(_))));
}

#[test]
fn what_the_fast_path_has_lent_is_not_armed() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&unlimited_and_plain());
    let mut facts = Vec::new();
    for id in [1, 2] {
        let build = |to, _| {
            let conn = Fake::new(id, to, Time::NEVER, true);
            facts.push(conn.facts().clone());
            Ok::<_, Refusal>(conn)
        };
        let (now, effects) = (scene.now, &mut scene.effects);
        assert!(scene.state.admit(&at, build, now, effects).is_ok());
    }
    facts[0].borrow();
    scene.pass(ARM_AFTER);
    let reaped = scene.state.reap(scene.now, &mut scene.effects);
    assert_eq!(reaped.to_arm, [2]);
    assert!(!facts[0].is_biased(), "it was found out");
}

#[test]
fn new_limits_leave_the_order_of_reuse() {
    let [at, ..] = destinations();
    let mut rules = unlimited();
    rules.keeping.reuse_order = ReuseOrder::Lifo;
    let mut scene = Scene::new(&rules);
    scene.put(&at);
    scene.put(&at);
    let keeping = unlimited().keeping;
    assert_eq!(keeping.reuse_order, ReuseOrder::Fifo);
    let (now, effects) = (scene.now, &mut scene.effects);
    let unfinished = scene.state.set_limits(rules.limits, keeping, now, effects);
    assert!(unfinished.is_nothing());
    assert_eq!(scene.reuse(&at).id, 2);
}
