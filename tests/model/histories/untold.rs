//! Between an event and its telling: what is freed is not free yet, and nobody is refused for it.
//! (`world` tells at once, so the random histories do not stay there.)

use super::*;
use crate::pool::state::answer::Untold;
use crate::pool::state::held::Held;
use crate::values::options::Limits;

/// A limit of the pool's connections, or of each address.
fn limited(is_of_the_pool: bool, max: u32) -> Limits {
    let limit = |is_set: bool| is_set.then_some(max);
    Limits {
        max_conns: limit(is_of_the_pool),
        max_conns_per_address: limit(!is_of_the_pool),
        ..unlimited().limits
    }
}

fn observed(limits: Limits) -> Scene {
    let mut rules = unlimited();
    rules.limits = limits;
    let mut scene = Scene::new(&rules);
    scene.state = scene.state.observed();
    scene
}

impl Scene {
    /// Closed at its return; what is free once that is told.
    fn close(&mut self, conn: Fake) -> Untold {
        assert!(!self.give_back(conn, Disposition::Close(CloseCause::Failed)));
        let closed = self.effects.closes.pop().expect("it is closed");
        closed.untold.expect("there is an on_event")
    }

    fn tell(&mut self, untold: Untold) {
        self.state.told(untold, self.now, &mut self.effects);
    }

    /// By one who does not wait at a limit.
    fn take_now(&mut self, destination: &Arc<Destination>) -> (Ticket, Take<Fake>) {
        let request = Request {
            destination,
            reuse: Reuse::Allowed,
            may_wait: false,
            distrusts_idle: false,
            has_waited: false,
        };
        self.state.take(request, self.now, || 0, &mut self.effects)
    }
}

#[test]
fn nobody_is_refused_for_a_slot_that_is_about_to_be_free() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut scene = observed(limited(is_of_the_pool, 2));
        let (first, _second) = (scene.borrow(&at), scene.borrow(&at));
        let untold = scene.close(first);
        let (ticket, taken) = scene.take_now(&at);
        assert!(matches!(taken, Take::Wait), "{taken:?}");
        assert!(scene.state.collect(ticket).is_none());
        scene.tell(untold);
        assert!(matches!(scene.state.collect(ticket), Some(Take::Dial(..))));
    }
}

#[test]
fn who_is_refused_is_told_of_what_is_not_free_yet_as_borrowed() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut scene = observed(limited(is_of_the_pool, 3));
        let (first, _others) = (scene.borrow(&at), [scene.borrow(&at), scene.borrow(&at)]);
        let untold = scene.close(first);
        let keeping = unlimited().keeping;
        let limits = limited(is_of_the_pool, 2);
        let (now, effects) = (scene.now, &mut scene.effects);
        assert!(scene
            .state
            .set_limits(limits, keeping, now, effects)
            .is_nothing());
        let (_, taken) = scene.take_now(&at);
        let Take::Refused(Refusal::Exhausted(numbers)) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!((numbers.idle, numbers.borrowed, numbers.dialing), (0, 3, 0));
        scene.tell(untold);
        let (_, taken) = scene.take_now(&at);
        let Take::Refused(Refusal::Exhausted(numbers)) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(numbers.borrowed, 2);
    }
}

#[test]
fn nobody_is_refused_for_one_that_is_about_to_be_back() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut scene = observed(limited(is_of_the_pool, 1));
        let conn = scene.borrow(&at);
        let (_, taken) = scene.take_now(&at);
        assert!(matches!(taken, Take::Refused(_)), "{taken:?}");
        let id = conn.destination_id();
        let keep = Disposition::Keep;
        let (now, effects) = (scene.now, &mut scene.effects);
        let returning = scene.state.begin_give_back(id, conn, keep, now, effects);
        let returning = returning.expect("it is kept");
        let (ticket, taken) = scene.take_now(&at);
        assert!(matches!(taken, Take::Wait), "{taken:?}");
        let (now, effects) = (scene.now, &mut scene.effects);
        scene.state.finish_give_back(returning, now, effects);
        let answer = scene.state.collect(ticket);
        assert!(matches!(answer, Some(Take::Reuse(_))), "{answer:?}");
    }
}

#[test]
fn the_room_of_one_that_is_about_to_be_idle_is_not_given_twice() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut limits = unlimited().limits;
        if is_of_the_pool {
            limits.max_idle = Some(1);
        } else {
            limits.max_idle_per_address = 1;
        }
        let mut scene = observed(limits);
        let (first, second) = (scene.borrow(&at), scene.borrow(&at));
        let id = first.destination_id();
        let keep = Disposition::Keep;
        let (now, effects) = (scene.now, &mut scene.effects);
        let first = scene.state.begin_give_back(id, first, keep, now, effects);
        let none = scene.state.begin_give_back(id, second, keep, now, effects);
        assert!(none.is_none());
        let first = first.expect("there was room");
        scene.state.finish_give_back(first, now, effects);
        assert_eq!(scene.closed(), [(2, CloseCause::IdleFull)]);
        assert_eq!(scene.state.idle_of(&at), 1);
    }
}

#[test]
fn a_waiter_must_wait_for_a_slot_until_that_is_told() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut scene = observed(limited(is_of_the_pool, 2));
        let (first, second) = (scene.borrow(&at), scene.borrow(&at));
        let id = first.destination_id();
        assert!(scene.state.must_wait_until_told(id), "two are borrowed");
        let untold = scene.close(first);
        assert!(scene.state.must_wait_until_told(id), "one and a slot");
        scene.tell(untold);
        assert!(!scene.state.must_wait_until_told(id));
        drop(second);
    }
}

#[test]
fn who_closed_more_than_it_needs_holds_the_rest_until_that_is_told() {
    let [at, ..] = destinations();
    let mut rules = unlimited();
    rules.limits = limited(true, 2);
    rules.keeping.idle_timeout = Some(ms(1_000));
    let mut scene = Scene::new(&rules);
    scene.state = scene.state.observed();
    scene.put(&at);
    scene.put(&at);
    scene.pass(ms(1_000));
    let (_, taken) = scene.take_now(&at);
    assert!(matches!(taken, Take::Dial(..)), "{taken:?}");
    let closes = scene.effects.closes.drain(..);
    let untold: Vec<_> = closes.filter_map(|one| one.untold).collect();
    assert_eq!(untold.len(), 1, "its own slot is its own");
    let (ticket, taken) = scene.take_now(&at);
    assert!(matches!(taken, Take::Wait), "{taken:?}");
    scene.tell(untold[0]);
    assert!(matches!(scene.state.collect(ticket), Some(Take::Dial(..))));
}

#[test]
fn who_distrusts_what_is_idle_takes_no_slot_that_is_not_free_yet() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut scene = observed(limited(is_of_the_pool, 2));
        let conn = scene.borrow(&at);
        scene.put(&at);
        let untold = scene.close(conn);
        let request = Request {
            destination: &at,
            reuse: Reuse::Allowed,
            may_wait: false,
            distrusts_idle: true,
            has_waited: false,
        };
        let (now, effects) = (scene.now, &mut scene.effects);
        let (_, taken) = scene.state.take(request, now, || 0, effects);
        let Take::Reuse(conn) = taken else {
            panic!("{taken:?}");
        };
        scene.keep(conn);
        scene.tell(untold);
        let (now, effects) = (scene.now, &mut scene.effects);
        let (_, taken) = scene.state.take(request, now, || 0, effects);
        assert!(matches!(taken, Take::Dial(..)), "{taken:?}");
    }
}

#[test]
fn who_waits_for_a_slot_that_is_not_told_yet_is_passed_by_others() {
    let [at, _, elsewhere] = destinations();
    let mut scene = observed(limited(false, 1));
    let (first, second) = (scene.borrow(&at), scene.borrow(&elsewhere));
    let late = scene.close(first);
    let (older, taken) = scene.take(&at, Reuse::Allowed);
    assert!(matches!(taken, Take::Wait));
    let (younger, taken) = scene.take(&elsewhere, Reuse::Allowed);
    assert!(matches!(taken, Take::Wait));
    let early = scene.close(second);
    scene.tell(early);
    assert!(scene.state.collect(older).is_none());
    assert!(matches!(scene.state.collect(younger), Some(Take::Dial(..))));
    scene.tell(late);
    assert!(matches!(scene.state.collect(older), Some(Take::Dial(..))));
}

#[test]
fn who_a_slot_that_is_about_to_be_free_serves_needs_no_other() {
    let [at, _, elsewhere] = destinations();
    let mut scene = observed(limited(true, 2));
    let (first, second) = (scene.borrow(&at), scene.borrow(&elsewhere));
    let untold = scene.close(first);
    let (older, taken) = scene.take(&at, Reuse::Never);
    assert!(matches!(taken, Take::Wait));
    let (younger, taken) = scene.take(&elsewhere, Reuse::Allowed);
    assert!(matches!(taken, Take::Wait));
    scene.keep(second);
    let answer = scene.state.collect(younger);
    assert!(matches!(answer, Some(Take::Reuse(_))), "{answer:?}");
    scene.tell(untold);
    assert!(matches!(scene.state.collect(older), Some(Take::Dial(..))));
}
