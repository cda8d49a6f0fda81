//! Destinations that failed: which are remembered where there are very many.

use super::*;
use crate::pool::state::dials::failures::Failures;
use crate::values::error::{Error, Status};

/// So many are remembered.
const MOST: usize = 1024;
const LASTS: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Time {
    Time::from_nanos((1_000 + ms) * 1_000_000)
}

fn fails(failures: &mut Failures, number: usize, now: Time) {
    let error = Error::new(Status::Connect, "refused");
    failures.failed(numbered(number), Ticket(number as u64), &error, now);
}

fn is_failed(failures: &Failures, number: usize, now: Time) -> bool {
    failures.check(&numbered(number), now).is_err()
}

#[test]
fn those_whose_time_is_over_make_room_first() {
    let mut failures = Failures::new(Some(LASTS));
    for number in 0..MOST {
        let now = if number % 2 == 0 { 0 } else { 50 };
        fails(&mut failures, number, at(now));
    }
    // One is being probed: it fails whatever the time.
    assert!(failures.check(&numbered(0), at(100)).is_ok());
    assert!(failures.begin_probe(&numbered(0), Ticket(9_000)));
    fails(&mut failures, MOST, at(100));
    let failed = (0..MOST).filter(|&one| is_failed(&failures, one, at(100)));
    assert_eq!(failed.count(), MOST / 2 + 1);
    assert!(is_failed(&failures, 0, at(100)) && is_failed(&failures, MOST, at(100)));
    // There is room now: nobody has to go for the next ones.
    fails(&mut failures, MOST + 1, at(149));
    assert!(is_failed(&failures, 1, at(149)));
}

#[test]
fn where_none_is_over_the_one_that_ends_first_goes() {
    let mut failures = Failures::new(Some(LASTS));
    for number in 0..MOST {
        let now = if number == 7 { 0 } else { 1 };
        fails(&mut failures, number, at(now));
    }
    // Known ones need no room.
    fails(&mut failures, 8, at(2));
    assert!(is_failed(&failures, 7, at(2)));
    fails(&mut failures, MOST, at(2));
    let forgotten = (0..=MOST).filter(|&one| !is_failed(&failures, one, at(2)));
    assert_eq!(forgotten.collect::<Vec<_>>(), [7]);
}

#[test]
fn one_dial_at_a_time_tries_again() {
    let mut failures = Failures::new(Some(LASTS));
    fails(&mut failures, 1, at(0));
    assert!(is_failed(&failures, 1, at(99)) && !is_failed(&failures, 1, at(100)));
    assert!(
        !failures.begin_probe(&numbered(2), Ticket(1)),
        "it never failed"
    );
    assert!(failures.begin_probe(&numbered(1), Ticket(1)));
    assert!(!failures.begin_probe(&numbered(1), Ticket(2)), "one does");
    assert!(is_failed(&failures, 1, at(100)));
    failures.probe_ended(&numbered(1), Ticket(2));
    assert!(is_failed(&failures, 1, at(100)), "another one's end");
    failures.probe_ended(&numbered(1), Ticket(1));
    assert!(!is_failed(&failures, 1, at(100)));
    failures.succeeded(&numbered(1));
    assert!(!failures.begin_probe(&numbered(1), Ticket(3)), "it works");
}

#[test]
fn an_older_dial_that_fails_leaves_the_probe_running() {
    let mut failures = Failures::new(Some(LASTS));
    fails(&mut failures, 1, at(0));
    assert!(failures.begin_probe(&numbered(1), Ticket(50)));
    fails(&mut failures, 1, at(100));
    assert!(is_failed(&failures, 1, at(300)), "the probe runs");
    let error = Error::new(Status::Connect, "refused");
    failures.failed(numbered(1), Ticket(50), &error, at(300));
    assert!(is_failed(&failures, 1, at(399)) && !is_failed(&failures, 1, at(400)));
}

#[test]
fn a_failure_that_was_overtaken_shortens_nothing() {
    let mut failures = Failures::new(Some(LASTS));
    fails(&mut failures, 1, at(40));
    fails(&mut failures, 1, at(0));
    assert!(is_failed(&failures, 1, at(139)) && !is_failed(&failures, 1, at(140)));
}

#[test]
fn without_the_option_nothing_is_remembered() {
    let mut failures = Failures::new(None);
    fails(&mut failures, 1, at(0));
    assert!(!is_failed(&failures, 1, at(0)));
}
