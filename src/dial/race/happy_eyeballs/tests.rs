//! The race, event by event, and through histories made at random.
#![forbid(unsafe_code)]

use super::*;

const DELAY: Duration = Duration::from_millis(250);

fn at(ms: u64) -> Time {
    Time::from_nanos(1_000_000_000 + ms * 1_000_000)
}

fn until(ms: u64) -> Deadline {
    Deadline::at(at(ms))
}

fn complete(addresses: usize, pace: Pace, deadline: Deadline) -> Race {
    let mut race = Race::new(pace, deadline);
    race.offer(addresses, 0..addresses);
    race.complete();
    race
}

fn staggered(addresses: usize, deadline: Deadline) -> Race {
    complete(addresses, Pace::Staggered(DELAY), deadline)
}

#[test]
fn the_next_address_starts_after_the_delay() {
    let mut race = staggered(3, Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(0)), Action::Sleep(until(250)));
    assert_eq!(race.next(at(249)), Action::Sleep(until(250)));
    assert_eq!(race.next(at(250)), Action::Connect(1));
    assert_eq!(race.next(at(250)), Action::Sleep(until(500)));
    assert_eq!(race.next(at(500)), Action::Connect(2));
    assert_eq!(race.next(at(500)), Action::Sleep(Deadline::NEVER));
}

#[test]
fn the_next_address_starts_at_once_when_one_fails() {
    let mut race = staggered(2, Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    race.failed(0);
    assert_eq!(race.next(at(1)), Action::Connect(1));
    race.failed(1);
    assert_eq!(race.next(at(2)), Action::Failed);
}

#[test]
fn the_first_to_connect_wins_and_the_others_are_closed() {
    let mut race = staggered(3, Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(250)), Action::Connect(1));
    race.connected(1);
    assert_eq!(race.next(at(260)), Action::Abandon(0));
    assert_eq!(race.next(at(260)), Action::Won(1));
}

#[test]
fn the_deadline_ends_what_is_in_flight() {
    let mut race = staggered(2, until(300));
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(250)), Action::Connect(1));
    assert_eq!(race.next(at(250)), Action::Sleep(until(300)));
    assert_eq!(race.next(at(300)), Action::Abandon(0));
    assert_eq!(race.next(at(300)), Action::Abandon(1));
    assert_eq!(race.next(at(300)), Action::TimedOut);
}

#[test]
fn a_deadline_in_the_past_connects_nothing() {
    assert_eq!(staggered(1, until(0)).next(at(0)), Action::TimedOut);
}

#[test]
fn no_address_at_all_fails() {
    assert_eq!(staggered(0, Deadline::NEVER).next(at(0)), Action::Failed);
}

#[test]
fn at_most_six_are_in_flight() {
    let mut race = staggered(8, Deadline::NEVER);
    for number in 0..MOST_IN_FLIGHT {
        assert_eq!(race.next(at(250 * number as u64)), Action::Connect(number));
    }
    assert_eq!(race.next(at(1_500)), Action::Sleep(until(2_000)));
    race.failed(3);
    assert_eq!(race.next(at(1_500)), Action::Connect(6));
}

#[test]
fn after_two_seconds_the_oldest_of_six_makes_room() {
    let mut race = staggered(8, Deadline::NEVER);
    for number in 0..MOST_IN_FLIGHT {
        assert_eq!(race.next(at(250 * number as u64)), Action::Connect(number));
    }
    assert_eq!(race.next(at(1_999)), Action::Sleep(until(2_000)));
    assert_eq!(race.next(at(2_000)), Action::Abandon(0));
    assert_eq!(race.next(at(2_000)), Action::Connect(6));
    assert_eq!(race.next(at(2_000)), Action::Sleep(until(2_250)));
    assert_eq!(race.next(at(2_250)), Action::Abandon(1));
    assert_eq!(race.next(at(2_250)), Action::Connect(7));
    assert_eq!(race.next(at(9_000)), Action::Sleep(Deadline::NEVER));
}

#[test]
fn one_by_one_a_share_shrinks_when_more_addresses_arrive() {
    let mut race = Race::new(Pace::OneByOne, until(9_000));
    race.offer(1, [0]);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(0)), Action::Sleep(until(9_000)));
    race.offer(3, [1, 2]);
    assert_eq!(race.next(at(1_000)), Action::Sleep(until(3_000)));
    assert_eq!(race.next(at(3_000)), Action::Abandon(0));
    assert_eq!(race.next(at(3_000)), Action::Connect(1));
}

#[test]
fn one_by_one_each_has_its_share_but_at_least_two_seconds() {
    let mut race = complete(3, Pace::OneByOne, until(9_000));
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(0)), Action::Sleep(until(3_000)));
    assert_eq!(race.next(at(3_000)), Action::Abandon(0));
    assert_eq!(race.next(at(3_000)), Action::Connect(1));
    assert_eq!(race.next(at(3_000)), Action::Sleep(until(6_000)));

    let mut short = complete(3, Pace::OneByOne, until(3_000));
    assert_eq!(short.next(at(0)), Action::Connect(0));
    assert_eq!(short.next(at(0)), Action::Sleep(until(2_000)));
    assert_eq!(short.next(at(2_000)), Action::Abandon(0));
    assert_eq!(short.next(at(2_000)), Action::Connect(1));
    assert_eq!(short.next(at(2_000)), Action::Sleep(until(3_000)));
    assert_eq!(short.next(at(3_000)), Action::Abandon(1));
    assert_eq!(short.next(at(3_000)), Action::TimedOut);
}

#[test]
fn one_by_one_without_a_deadline_waits_for_each() {
    let mut race = complete(2, Pace::OneByOne, Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(99_000)), Action::Sleep(Deadline::NEVER));
    race.failed(0);
    assert_eq!(race.next(at(99_000)), Action::Connect(1));
}

#[test]
fn addresses_that_arrive_later_join_in_their_turn() {
    let mut race = Race::new(Pace::Staggered(DELAY), Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Sleep(Deadline::NEVER));
    race.offer(1, [0]);
    assert_eq!(race.next(at(10)), Action::Connect(0));
    assert_eq!(race.next(at(10)), Action::Sleep(Deadline::NEVER));
    race.offer(3, [2, 1]);
    assert_eq!(race.next(at(20)), Action::Sleep(until(260)));
    assert_eq!(race.next(at(260)), Action::Connect(2));
    race.failed(0);
    assert_eq!(race.next(at(270)), Action::Connect(1));
    race.failed(1);
    race.failed(2);
    assert_eq!(race.next(at(280)), Action::Sleep(Deadline::NEVER));
    race.complete();
    assert_eq!(race.next(at(280)), Action::Failed);
}

#[test]
fn the_other_family_gets_fifty_milliseconds_to_arrive() {
    let mut race = Race::new(Pace::Staggered(DELAY), Deadline::NEVER);
    race.offer(1, [0]);
    race.hold_until(at(0).after(RESOLUTION_DELAY));
    assert_eq!(race.next(at(0)), Action::Sleep(until(50)));
    assert_eq!(race.next(at(49)), Action::Sleep(until(50)));
    assert_eq!(race.next(at(50)), Action::Connect(0));

    let mut sooner = Race::new(Pace::OneByOne, Deadline::NEVER);
    sooner.offer(1, [0]);
    sooner.hold_until(at(50));
    sooner.offer(2, [1, 0]);
    sooner.hold_until(at(20));
    assert_eq!(sooner.next(at(20)), Action::Connect(1));
}

#[test]
fn success_after_the_winner_is_a_loser() {
    let mut race = staggered(2, Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert_eq!(race.next(at(250)), Action::Connect(1));
    race.connected(1);
    assert_eq!(race.next(at(251)), Action::Abandon(0));
    assert_eq!(race.next(at(300)), Action::Won(1));
}

#[test]
fn a_race_is_empty_until_an_address_has_arrived() {
    let mut race = Race::new(Pace::OneByOne, Deadline::NEVER);
    assert!(race.is_empty());
    race.offer(1, [0]);
    assert!(!race.is_empty());
    assert_eq!(race.next(at(0)), Action::Connect(0));
    assert!(!race.is_empty());
}

#[test]
fn what_has_begun_is_not_held_any_more() {
    let mut race = staggered(2, Deadline::NEVER);
    assert_eq!(race.next(at(0)), Action::Connect(0));
    race.hold_until(at(9_000));
    assert_eq!(race.next(at(250)), Action::Connect(1));

    let mut alone = Race::new(Pace::Staggered(DELAY), Deadline::NEVER);
    alone.offer(2, [0, 1]);
    assert_eq!(alone.next(at(0)), Action::Connect(0));
    alone.failed(0);
    alone.hold_until(at(9_000));
    assert_eq!(alone.next(at(1)), Action::Connect(1), "none is in flight");
}

#[test]
fn the_oldest_is_the_one_that_began_first() {
    let mut race = staggered(7, Deadline::NEVER);
    race.offer(7, [6, 5, 4, 3, 2, 1, 0]);
    for turn in 0..6 {
        let number = 6 - turn;
        assert_eq!(race.next(at(250 * turn as u64)), Action::Connect(number));
    }
    assert_eq!(race.next(at(2_000)), Action::Abandon(6));
    assert_eq!(race.next(at(2_000)), Action::Connect(0));
}

mod any_history {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Happens {
        Passes(u64),
        Connects(usize),
        Fails(usize),
        Arrives(usize),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            (0..400u64).prop_map(Happens::Passes),
            (0..8usize).prop_map(Happens::Connects),
            (0..8usize).prop_map(Happens::Fails),
            (1..4usize).prop_map(Happens::Arrives),
        ]
    }

    proptest! {
        #[test]
        fn opens_each_address_once_closes_every_loser_and_ends(
            history in prop::collection::vec(happens(), 0..40),
            one_by_one: bool,
            timeout in prop::option::of(0..5_000u64),
        ) {
            let pace = if one_by_one { Pace::OneByOne } else { Pace::Staggered(DELAY) };
            let mut race = Race::new(pace, timeout.map_or(Deadline::NEVER, until));
            let mut now = 0;
            let (mut opened, mut known) = (Vec::new(), 0);
            let mut open: Vec<usize> = Vec::new();
            let mut ended = None;
            let mut events = history.into_iter();
            for _ in 0..10_000 {
                match race.next(at(now)) {
                    Action::Connect(number) => {
                        prop_assert!(!opened.contains(&number));
                        opened.push(number);
                        open.push(number);
                        let most = if one_by_one { 1 } else { MOST_IN_FLIGHT };
                        prop_assert!(open.len() <= most);
                    }
                    Action::Abandon(number) => {
                        prop_assert!(open.contains(&number));
                        open.retain(|&one| one != number);
                    }
                    Action::Won(number) => {
                        prop_assert_eq!(&open, &vec![number]);
                        ended = Some(());
                        break;
                    }
                    Action::Failed | Action::TimedOut => {
                        prop_assert!(open.is_empty());
                        ended = Some(());
                        break;
                    }
                    Action::Sleep(wake) => match events.next() {
                        Some(Happens::Passes(ms)) => now += ms,
                        Some(Happens::Connects(which)) if !open.is_empty() => {
                            race.connected(open[which % open.len()]);
                        }
                        Some(Happens::Fails(which)) if !open.is_empty() => {
                            let number = open.remove(which % open.len());
                            race.failed(number);
                        }
                        Some(Happens::Arrives(more)) => {
                            known += more;
                            let is_untried = |one: &usize| !opened.contains(one);
                            let untried: Vec<_> = (0..known).filter(is_untried).collect();
                            race.offer(known, untried.into_iter().rev());
                        }
                        Some(_) => {}
                        None => {
                            race.complete();
                            if let Some(number) = open.pop() {
                                race.failed(number);
                            } else if let Some(time) = wake.time() {
                                now = now.max((time.nanos() - 1_000_000_000).div_ceil(1_000_000));
                            }
                        }
                    },
                }
            }
            prop_assert!(ended.is_some(), "the race did not end");
        }
    }
}
