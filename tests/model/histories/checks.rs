//! on_idle with more connections than checkers, and with no thread to be had.

use super::*;

/// Checkers of one pool at once.
const MOST_CHECKERS: usize = 16;

/// As many idle ones, all due in a second.
fn idle(count: usize) -> (Scene, Arc<Destination>) {
    let [at, ..] = destinations();
    let mut rules = unlimited();
    rules.limits.max_idle_per_address = 1_000;
    rules.on_idle = Some(ms(1_000));
    let mut scene = Scene::new(&rules);
    for _ in 0..count {
        scene.put(&at);
    }
    (scene, at)
}

#[test]
fn one_checker_is_started_for_each_that_is_due_and_sixteen_at_most() {
    for (count, wanted) in [(0, 0), (3, 3), (20, MOST_CHECKERS)] {
        let (mut scene, _) = idle(count);
        scene.pass(ms(999));
        assert_eq!(scene.state.start_checkers(scene.now).0, 0);
        scene.pass(ms(1));
        assert_eq!(scene.state.start_checkers(scene.now).0, wanted);
        let more = scene.state.start_checkers(scene.now).0;
        assert_eq!(more, wanted.min(MOST_CHECKERS - wanted));
    }
}

#[test]
fn a_checker_without_a_thread_is_tried_again_in_fifty_milliseconds() {
    let (mut scene, _) = idle(20);
    scene.state.next_deadline();
    scene.pass(ms(1_000));
    assert_eq!(scene.state.start_checkers(scene.now).0, MOST_CHECKERS);
    scene.state.stop_checker(scene.now);
    assert_eq!(scene.state.next_deadline(), scene.now.after(ms(50)));
    assert_eq!(scene.state.start_checkers(scene.now).0, 1);
}

#[test]
fn a_checker_tells_when_another_one_is_of_use() {
    let (mut scene, _) = idle(3);
    let due = scene.now.after(ms(1_000));
    scene.pass(ms(1_000));
    assert_eq!(scene.state.start_checkers(scene.now).0, 3);
    scene.state.next_deadline();
    let (began, now) = (scene.now, scene.now);
    let taken = scene.state.take_check(began, now, &mut scene.effects);
    let (conn, check) = taken.expect("one is due");
    assert_eq!(scene.state.stats().borrowed, 1);
    assert_eq!(scene.state.next_deadline(), due, "two more are due");
    let is_kept = scene
        .state
        .end_check(conn, check, Disposition::Keep, now, &mut scene.effects);
    assert!(is_kept);
    assert_eq!(scene.state.stats().counters.idle_checks, 1);
    // Those that become due after it began are not its own.
    let early = Time::default();
    let none = scene.state.take_check(early, now, &mut scene.effects);
    assert!(none.is_none());
    assert_eq!(scene.state.start_checkers(now).0, 2, "its place is free");
}

#[test]
fn what_is_asked_about_counts_as_idle_of_its_destination() {
    let (mut scene, at) = idle(2);
    scene.pass(ms(1_000));
    assert_eq!(scene.state.start_checkers(scene.now).0, 2);
    let (began, now) = (scene.now, scene.now);
    let taken = scene.state.take_check(began, now, &mut scene.effects);
    let (conn, check) = taken.expect("one is due");
    assert_eq!(scene.state.idle_of(&at), 2);
    assert_eq!(scene.state.idle_count(None), 1);
    let enough = scene.state.take_for_idle(&at, 2, now);
    assert!(matches!(enough, Ok(None)));
    let one_more = scene.state.take_for_idle(&at, 3, now);
    assert!(matches!(one_more, Ok(Some(_))));
    let is_kept = scene.state.end_check(
        conn,
        check,
        Disposition::Close(CloseCause::Hook),
        now,
        &mut scene.effects,
    );
    assert!(!is_kept);
    assert_eq!(scene.closed(), [(1, CloseCause::Hook)]);
    assert_eq!(scene.state.idle_of(&at), 1);
}

#[test]
fn where_all_checkers_run_another_one_is_of_no_use_before_more_are_due() {
    let (mut scene, at) = idle(20);
    scene.pass(ms(1_000));
    assert_eq!(scene.state.start_checkers(scene.now).0, MOST_CHECKERS);
    let (began, now) = (scene.now, scene.now);
    scene.state.next_deadline();
    let taken = scene.state.take_check(began, now, &mut scene.effects);
    assert!(taken.is_some());
    assert_eq!(scene.state.next_deadline(), Time::NEVER);
    // In a pool that is closed nobody is asked about.
    let unfinished = scene.state.close(now, &mut scene.effects);
    assert!(unfinished.is_nothing());
    let none = scene.state.take_check(began, now, &mut scene.effects);
    assert!(none.is_none());
    drop((taken, at));
}
