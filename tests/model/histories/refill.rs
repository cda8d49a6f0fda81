//! `min_idle_per_address`: who is refilled, when, and how far.

use super::*;
use crate::values::options::Keeping;

/// After a borrow the engine looks.
const SOON: Duration = Duration::from_millis(10);

fn rules(min_idle: u32) -> Rules {
    let mut rules = unlimited();
    rules.keeping.min_idle_per_address = min_idle;
    rules.fail_fast = None;
    rules
}

impl Scene {
    /// Somebody borrows one and keeps it.
    fn wanted(&mut self, destination: &Arc<Destination>) -> Fake {
        use crate::pool::state::held::Held;
        let conn = self.borrow(destination);
        self.state.mark_wanted(conn.destination_id(), self.now);
        conn
    }

    fn short(&mut self) -> Vec<String> {
        let short = self.state.find_short(self.now);
        self.names(short)
    }

    fn refill(&mut self, destination: &Arc<Destination>) -> Option<DialRight> {
        let taken = self.state.take_for_refill(destination, self.now);
        taken.map(|(right, _)| right)
    }

    /// The dial of a refill ends well.
    fn refilled(&mut self, right: DialRight) {
        let conn = self.dialed(right);
        self.state.settle_in(
            right.destination,
            conn,
            Disposition::Keep,
            self.now,
            &mut self.effects,
        );
    }

    /// From nothing to two idle ones.
    fn refill_two(&mut self, destination: &Arc<Destination>) {
        for _ in 0..2 {
            let right = self.refill(destination).expect("one more is wanted");
            self.refilled(right);
        }
        assert!(self.refill(destination).is_none());
    }

    /// In how long the engine looks.
    fn looks_in(&mut self) -> Option<Duration> {
        let at = self.state.next_deadline();
        (at != Time::NEVER).then(|| at.since(self.now))
    }
}

#[test]
fn what_was_borrowed_is_refilled_a_moment_later_and_only_once() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&rules(2));
    let borrowed = scene.wanted(&at);
    assert_eq!(scene.looks_in(), Some(SOON));
    scene.pass(ms(9));
    assert!(scene.short().is_empty());
    scene.pass(ms(1));
    assert_eq!(scene.short(), ["a:1"]);
    assert_eq!(scene.looks_in(), None);
    scene.state.schedule_refill_check(scene.now);
    scene.pass(SOON);
    assert!(scene.short().is_empty(), "its job runs");
    scene.refill_two(&at);
    assert_eq!(scene.state.idle_of(&at), 2);
    scene.pass(ms(5_000));
    scene.state.schedule_refill_check(scene.now);
    scene.pass(SOON);
    assert!(scene.short().is_empty(), "it has enough");
    scene.keep(borrowed);
}

#[test]
fn no_more_are_dialed_in_a_second_than_are_wanted_unless_one_is_borrowed() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&rules(2));
    let borrowed = scene.wanted(&at);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    let rights = [0, 1].map(|_| scene.refill(&at).expect("two are wanted"));
    for right in rights {
        let conn = scene.dialed(right);
        assert!(!scene.give_back(conn, Disposition::Close(CloseCause::Failed)));
    }
    assert!(scene.refill(&at).is_none(), "two were dialed");
    scene.pass(ms(999));
    assert!(scene.short().is_empty(), "the second lasts");
    let left = scene.looks_in().expect("it looks again");
    assert!(left <= ms(1), "{left:?}");
    scene.pass(ms(1));
    assert_eq!(scene.short(), ["a:1"]);
    scene.refill_two(&at);

    // One who borrows ends the second.
    scene.pass(ms(100));
    let taken = [scene.reuse(&at), scene.reuse(&at)];
    scene.state.mark_wanted(0, scene.now);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    scene.refill_two(&at);
    drop((borrowed, taken));
}

#[test]
fn after_each_failure_the_pause_doubles_up_to_a_minute() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&rules(1));
    let _borrowed = scene.wanted(&at);
    scene.pass(SOON);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        scene.state.mark_wanted(0, scene.now);
        scene.pass(SOON);
        assert_eq!(scene.short(), ["a:1"]);
        let right = scene.refill(&at).expect("one is wanted");
        scene.fails(right);
        scene.state.refill_failed(&at, scene.now);
        scene.state.mark_wanted(0, scene.now);
        scene.pass(SOON);
        assert!(scene.short().is_empty(), "left alone");
        assert_eq!(scene.looks_in(), Some(ms(1_000 * seconds) - SOON));
        scene.pass(ms(1_000 * seconds) - SOON);
    }
    // A dial of a borrower's ends the pauses.
    let right = scene.right(&at);
    let second = scene.dialed(right);
    scene.state.mark_wanted(0, scene.now);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    let right = scene.refill(&at).expect("one is wanted");
    scene.fails(right);
    scene.state.refill_failed(&at, scene.now);
    assert_eq!(scene.looks_in(), Some(ms(1_000)), "from the start");
    drop(second);
}

#[test]
fn a_destination_is_wanted_for_the_idle_timeout_or_ninety_seconds() {
    for (idle_timeout, lasts) in [(None, 90_000), (Some(ms(3_000)), 3_000)] {
        for (passed, is_wanted) in [(lasts - 1, true), (lasts, false)] {
            let [at, ..] = destinations();
            let mut rules = rules(1);
            rules.keeping.idle_timeout = idle_timeout;
            let mut scene = Scene::new(&rules);
            let _borrowed = scene.wanted(&at);
            scene.pass(ms(passed));
            assert_eq!(scene.short().len(), usize::from(is_wanted), "{passed}");
        }
    }
}

#[test]
fn what_has_nothing_left_is_forgotten_after_fifty_seconds() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&rules(1));
    let borrowed = scene.wanted(&at);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    let right = scene.refill(&at).expect("one is wanted");
    scene.fails(right);
    scene.state.refill_failed(&at, scene.now);
    assert!(!scene.give_back(borrowed, Disposition::Close(CloseCause::Failed)));
    assert_eq!(scene.state.destinations(), 1, "kept for the refill");
    scene.pass(ms(1_000));
    assert_eq!(scene.short(), ["a:1"], "empty since now");
    scene.state.refill_failed(&at, scene.now);
    scene.pass(ms(49_999));
    assert_eq!(scene.short(), ["a:1"]);
    scene.state.refill_failed(&at, scene.now);
    scene.state.schedule_refill_check(Time::default());
    scene.pass(ms(1));
    assert!(scene.short().is_empty());
    assert_eq!(scene.state.destinations(), 0);
}

#[test]
fn what_has_nothing_left_is_forgotten_when_it_is_not_wanted_any_more() {
    let [at, ..] = destinations();
    let mut rules = rules(1);
    rules.keeping.idle_timeout = Some(ms(3_000));
    let mut scene = Scene::new(&rules);
    let borrowed = scene.wanted(&at);
    assert!(!scene.give_back(borrowed, Disposition::Close(CloseCause::Failed)));
    scene.pass(ms(2_999));
    assert_eq!(scene.short(), ["a:1"]);
    assert_eq!(scene.looks_in(), Some(ms(1)));
    scene.pass(ms(1));
    assert!(scene.short().is_empty());
    assert_eq!(scene.state.destinations(), 0);
}

#[test]
fn what_was_empty_for_a_while_is_empty_from_the_last_time_on() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&rules(1));
    let borrowed = scene.wanted(&at);
    assert!(!scene.give_back(borrowed, Disposition::Close(CloseCause::Failed)));
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    scene.pass(ms(40_000));
    let right = scene.refill(&at).expect("one is wanted");
    scene.refilled(right);
    scene.state.schedule_refill_check(scene.now);
    scene.pass(SOON);
    assert!(scene.refill(&at).is_none() && scene.short().is_empty());
    let idle = scene.reuse(&at);
    assert!(!scene.give_back(idle, Disposition::Close(CloseCause::Failed)));
    scene.pass(ms(20_000));
    assert_eq!(scene.short(), ["a:1"], "not for fifty seconds yet");
    assert_eq!(scene.state.destinations(), 1);
}

#[test]
fn no_refill_takes_a_slot_at_a_limit_and_one_that_is_free_again_is_seen() {
    for is_of_the_pool in [true, false] {
        let [at, ..] = destinations();
        let mut rules = rules(1);
        if is_of_the_pool {
            rules.limits.max_conns = Some(2);
        } else {
            rules.limits.max_conns_per_address = Some(2);
        }
        let mut scene = Scene::new(&rules);
        let (first, second) = (scene.wanted(&at), scene.wanted(&at));
        scene.pass(SOON);
        assert!(scene.short().is_empty(), "no room");
        assert_eq!(scene.looks_in(), None);
        assert!(!scene.give_back(first, Disposition::Close(CloseCause::Failed)));
        assert!(scene.looks_in().is_some_and(|soon| soon <= SOON));
        scene.pass(SOON);
        assert_eq!(scene.short(), ["a:1"]);
        let right = scene.refill(&at).expect("there is room");
        scene.refilled(right);
        drop(second);
    }
}

#[test]
fn a_refill_leaves_a_slot_to_who_waits() {
    let [at, _, elsewhere] = destinations();
    let mut rules = rules(1);
    rules.limits.max_conns_per_address = Some(1);
    let mut scene = Scene::new(&rules);
    let borrowed = scene.wanted(&elsewhere);
    let full = scene.borrow(&at);
    let (ticket, taken) = scene.take(&at, Reuse::Allowed);
    assert!(matches!(taken, Take::Wait));
    scene.pass(SOON);
    assert!(scene.short().is_empty(), "somebody waits");
    scene.keep(full);
    assert!(matches!(scene.state.collect(ticket), Some(Take::Reuse(_))));
    assert!(scene.looks_in().is_some());
    drop(borrowed);
}

#[test]
fn a_job_that_finds_somebody_waiting_ends_and_is_named_again() {
    let [at, _, elsewhere] = destinations();
    let mut rules = rules(1);
    rules.limits.max_conns_per_address = Some(2);
    let mut scene = Scene::new(&rules);
    let borrowed = scene.wanted(&elsewhere);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["b:1"]);
    let full = [scene.borrow(&at), scene.borrow(&at)];
    let (ticket, _) = scene.take(&at, Reuse::Allowed);
    assert!(scene.refill(&elsewhere).is_none());
    scene
        .state
        .cancel_wait(ticket, scene.now, &mut scene.effects);
    assert!(scene.looks_in().is_some(), "it looks again");
    scene.pass(ms(1_000));
    assert_eq!(scene.short(), ["b:1"]);
    drop((borrowed, full));
}

#[test]
fn a_destination_that_failed_before_is_left_alone() {
    let [at, ..] = destinations();
    let mut rules = rules(1);
    rules.fail_fast = Some(ms(100));
    let mut scene = Scene::new(&rules);
    let _borrowed = scene.wanted(&at);
    let right = scene.right(&at);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    scene.fails(right);
    assert!(scene.refill(&at).is_none());
    assert_eq!(scene.looks_in(), Some(ms(1_000)));
    scene.pass(ms(1_000));
    assert_eq!(scene.short(), ["a:1"]);
}

#[test]
fn only_sixty_four_are_named_at_once_and_the_rest_at_the_next_look() {
    let mut scene = Scene::new(&rules(1));
    let borrowed: Vec<_> = (0..70).map(|one| scene.wanted(&numbered(one))).collect();
    scene.pass(SOON);
    assert_eq!(scene.short().len(), 64);
    assert_eq!(scene.looks_in(), Some(Duration::ZERO));
    assert_eq!(scene.short().len(), 6);
    assert_eq!(scene.looks_in(), None);
    drop(borrowed);
}

#[test]
fn no_more_are_wanted_than_may_be_idle_and_none_where_the_option_is_off() {
    let [at, ..] = destinations();
    let mut few = rules(5);
    few.limits.max_idle_per_address = 2;
    let mut scene = Scene::new(&few);
    let _borrowed = scene.wanted(&at);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1"]);
    scene.refill_two(&at);

    let mut off = Scene::new(&rules(0));
    let _borrowed = off.wanted(&at);
    assert_eq!(off.looks_in(), None);
    off.pass(SOON);
    assert!(off.short().is_empty());
}

fn set_min_idle(scene: &mut Scene, rules: &Rules, min_idle_per_address: u32) {
    let keeping = Keeping {
        min_idle_per_address,
        ..rules.keeping.clone()
    };
    let unfinished =
        scene
            .state
            .set_limits(rules.limits.clone(), keeping, scene.now, &mut scene.effects);
    assert!(unfinished.is_nothing());
}

#[test]
fn what_is_in_use_when_the_option_is_set_is_refilled() {
    let [at, _, elsewhere] = destinations();
    let rules = rules(0);
    let mut scene = Scene::new(&rules);
    scene.put(&at);
    let borrowed = scene.borrow(&elsewhere);
    let dialing = scene.right(&numbered(1));
    set_min_idle(&mut scene, &rules, 2);
    scene.pass(SOON);
    assert_eq!(scene.short(), ["a:1", "b:1"]);
    scene.pass(ms(89_989));
    scene.state.refill_failed(&at, scene.now);
    scene.state.refill_failed(&elsewhere, scene.now);
    scene.pass(ms(1));
    assert!(scene.short().is_empty(), "not wanted any more");

    set_min_idle(&mut scene, &rules, 2);
    set_min_idle(&mut scene, &rules, 0);
    scene.pass(SOON);
    assert!(scene.short().is_empty(), "off again");
    drop((borrowed, dialing));
}

#[test]
fn an_option_that_is_set_anew_makes_no_wish_shorter() {
    let [at, ..] = destinations();
    let mut rules = rules(1);
    let mut scene = Scene::new(&rules);
    let _borrowed = scene.wanted(&at);
    rules.keeping.idle_timeout = Some(ms(1_000));
    set_min_idle(&mut scene, &rules, 1);
    scene.pass(ms(50_000));
    assert_eq!(scene.short(), ["a:1"]);
}

#[test]
fn a_closed_pool_keeps_no_empty_destination() {
    let [at, ..] = destinations();
    let mut scene = Scene::new(&rules(1));
    let borrowed = scene.wanted(&at);
    let unfinished = scene.state.close(scene.now, &mut scene.effects);
    assert!(unfinished.is_nothing());
    assert!(!scene.give_back(borrowed, Disposition::Keep));
    assert_eq!(scene.state.destinations(), 0);
}
