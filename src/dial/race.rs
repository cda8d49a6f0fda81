//! Which address is tried when: RFC 8305 section 5 as a state machine. It takes the time and what happened, says what to
//! do next, and never sleeps; `drive` runs it in a calling thread.
//!
//! | an address is | on | becomes |
//! |---|---|---|
//! | Waiting | its turn (`next` says Connect) | Trying |
//! | Trying | `connected` | Won; `next` then abandons every other Trying one |
//! | Trying | `failed`, or its share of time ran out (`next` says Abandon) | Ended |
//! | Trying | the deadline passed, or another one won (`next` says Abandon) | Ended |
//!
//! Addresses may arrive while it runs (`offer`), until `complete`.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Duration;

use crate::values::clock::{Deadline, Time};

/// Attempts in flight at once. RFC 8305 sets no bound; six waves of 250 ms have waited 1.5 s for the first answer, and a
/// name with dozens of addresses must not open dozens of sockets.
pub(crate) const MOST_IN_FLIGHT: usize = 6;

/// One after another, each address gets an equal share of what is left, but at least so much (Go: partialDeadline).
pub(crate) const LEAST_SHARE: Duration = Duration::from_secs(2);

/// RFC 8305 section 3, "Resolution Delay": when IPv4 addresses arrive first, IPv6 gets so long to arrive too.
pub(crate) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// When the next address is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So long after the last one began, or as soon as one failed.
    Staggered(Duration),
    /// When the one before has ended.
    OneByOne,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Waiting,
    Trying { until: Deadline },
    Won,
    Ended,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start to connect to address number so and so.
    Connect(usize),
    /// Close that attempt: it is late.
    Abandon(usize),
    /// Nothing before that time, unless an attempt ends.
    Sleep(Deadline),
    /// That one is the connection.
    Won(usize),
    /// Every address failed.
    Failed,
    /// The deadline passed.
    TimedOut,
}

/// One race between the addresses of one name.
#[derive(Debug)]
pub(crate) struct Race {
    attempts: Vec<Attempt>,
    /// The Waiting ones in the order in which they will be tried.
    order: VecDeque<usize>,
    may_come: bool,
    pace: Pace,
    deadline: Deadline,
    next_start: Time,
}

impl Race {
    /// Without any address yet.
    pub(crate) fn new(pace: Pace, deadline: Deadline) -> Self {
        Self {
            attempts: Vec::new(),
            order: VecDeque::new(),
            may_come: true,
            pace,
            deadline,
            next_start: Time::default(),
        }
    }

    /// Addresses have arrived: there are `known` now, and those not tried yet are to be tried in this order.
    pub(crate) fn offer(&mut self, known: usize, order: impl IntoIterator<Item = usize>) {
        self.attempts
            .resize(known.max(self.attempts.len()), Attempt::Waiting);
        let attempts = &self.attempts;
        self.order = order
            .into_iter()
            .filter(|&one| attempts[one] == Attempt::Waiting)
            .collect();
    }

    /// No more addresses will come.
    pub(crate) fn complete(&mut self) {
        self.may_come = false;
    }

    /// Nothing is tried before that time; a later call may say an earlier one.
    pub(crate) fn hold_until(&mut self, time: Time) {
        if self.order.len() == self.attempts.len() {
            self.next_start = time;
        }
    }

    /// No address has arrived so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    fn position(&self, test: impl Fn(&Attempt) -> bool) -> Option<usize> {
        self.attempts.iter().position(test)
    }

    fn in_flight(&self) -> usize {
        self.attempts
            .iter()
            .filter(|one| matches!(one, Attempt::Trying { .. }))
            .count()
    }

    fn abandon(&mut self, test: impl Fn(&Attempt) -> bool) -> Option<Step> {
        let number = self.position(test)?;
        self.attempts[number] = Attempt::Ended;
        Some(Step::Abandon(number))
    }

    /// What to do at `now`. To be called again until it says Sleep, Won, Failed or TimedOut.
    pub(crate) fn next(&mut self, now: Time) -> Step {
        let trying = |one: &Attempt| matches!(one, Attempt::Trying { .. });
        if let Some(winner) = self.position(|one| *one == Attempt::Won) {
            return self.abandon(trying).unwrap_or(Step::Won(winner));
        }
        if self.deadline.has_passed(now) {
            return self.abandon(trying).unwrap_or(Step::TimedOut);
        }
        let late =
            |one: &Attempt| matches!(one, Attempt::Trying { until } if until.has_passed(now));
        if let Some(step) = self.abandon(late) {
            return step;
        }
        match self.order.front().copied() {
            Some(number) if self.may_start(now) => {
                self.order.pop_front();
                self.start(number, now);
                Step::Connect(number)
            }
            None if self.in_flight() == 0 && !self.may_come => Step::Failed,
            _ => Step::Sleep(self.wake_at()),
        }
    }

    fn may_start(&self, now: Time) -> bool {
        match (self.in_flight(), self.pace) {
            (0, _) => self.next_start <= now || !self.is_held(),
            (_, Pace::OneByOne) => false,
            (in_flight, Pace::Staggered(_)) => in_flight < MOST_IN_FLIGHT && self.next_start <= now,
        }
    }

    /// Nothing was tried yet, so `next_start` is what `hold_until` said.
    fn is_held(&self) -> bool {
        self.order.len() == self.attempts.len()
    }

    fn start(&mut self, number: usize, now: Time) {
        let until = match self.pace {
            Pace::Staggered(delay) => {
                self.next_start = now.after(delay);
                self.deadline
            }
            Pace::OneByOne => self.share(now),
        };
        self.attempts[number] = Attempt::Trying { until };
    }

    fn share(&self, now: Time) -> Deadline {
        let Some(end) = self.deadline.time() else {
            return Deadline::NEVER;
        };
        let addresses_left = self.order.len() as u32 + 1;
        let share = (end.since(now) / addresses_left).max(LEAST_SHARE);
        Deadline::at(now.after(share)).min(self.deadline)
    }

    fn wake_at(&self) -> Deadline {
        let shares = self.attempts.iter().filter_map(|one| match one {
            Attempt::Trying { until } => Some(*until),
            _ => None,
        });
        let mut wake = shares.fold(self.deadline, Deadline::min);
        let may_start_later = match (self.in_flight(), self.pace) {
            (0, _) => true,
            (_, Pace::OneByOne) => false,
            (in_flight, Pace::Staggered(_)) => in_flight < MOST_IN_FLIGHT,
        };
        if may_start_later && !self.order.is_empty() {
            wake = wake.min(Deadline::at(self.next_start));
        }
        wake
    }

    /// The attempt reached its peer. The first one wins; `next` abandons those that come later.
    pub(crate) fn connected(&mut self, number: usize) {
        self.attempts[number] = Attempt::Won;
    }

    /// The attempt failed: the next one need not wait any longer.
    pub(crate) fn failed(&mut self, number: usize) {
        self.attempts[number] = Attempt::Ended;
        self.next_start = Time::default();
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(0)), Step::Sleep(until(250)));
        assert_eq!(race.next(at(249)), Step::Sleep(until(250)));
        assert_eq!(race.next(at(250)), Step::Connect(1));
        assert_eq!(race.next(at(250)), Step::Sleep(until(500)));
        assert_eq!(race.next(at(500)), Step::Connect(2));
        assert_eq!(race.next(at(500)), Step::Sleep(Deadline::NEVER));
    }

    #[test]
    fn the_next_address_starts_at_once_when_one_fails() {
        let mut race = staggered(2, Deadline::NEVER);
        assert_eq!(race.next(at(0)), Step::Connect(0));
        race.failed(0);
        assert_eq!(race.next(at(1)), Step::Connect(1));
        race.failed(1);
        assert_eq!(race.next(at(2)), Step::Failed);
    }

    #[test]
    fn the_first_to_connect_wins_and_the_others_are_closed() {
        let mut race = staggered(3, Deadline::NEVER);
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(250)), Step::Connect(1));
        race.connected(1);
        assert_eq!(race.next(at(260)), Step::Abandon(0));
        assert_eq!(race.next(at(260)), Step::Won(1));
    }

    #[test]
    fn the_deadline_ends_what_is_in_flight() {
        let mut race = staggered(2, until(300));
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(250)), Step::Connect(1));
        assert_eq!(race.next(at(250)), Step::Sleep(until(300)));
        assert_eq!(race.next(at(300)), Step::Abandon(0));
        assert_eq!(race.next(at(300)), Step::Abandon(1));
        assert_eq!(race.next(at(300)), Step::TimedOut);
    }

    #[test]
    fn a_deadline_in_the_past_connects_nothing() {
        assert_eq!(staggered(1, until(0)).next(at(0)), Step::TimedOut);
    }

    #[test]
    fn no_address_at_all_fails() {
        assert_eq!(staggered(0, Deadline::NEVER).next(at(0)), Step::Failed);
    }

    #[test]
    fn at_most_six_are_in_flight() {
        let mut race = staggered(8, Deadline::NEVER);
        for number in 0..MOST_IN_FLIGHT {
            assert_eq!(race.next(at(250 * number as u64)), Step::Connect(number));
        }
        assert_eq!(race.next(at(10_000)), Step::Sleep(Deadline::NEVER));
        race.failed(3);
        assert_eq!(race.next(at(10_000)), Step::Connect(6));
    }

    #[test]
    fn one_by_one_each_has_its_share_but_at_least_two_seconds() {
        let mut race = complete(3, Pace::OneByOne, until(9_000));
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(0)), Step::Sleep(until(3_000)));
        assert_eq!(race.next(at(3_000)), Step::Abandon(0));
        assert_eq!(race.next(at(3_000)), Step::Connect(1));
        assert_eq!(race.next(at(3_000)), Step::Sleep(until(6_000)));

        let mut short = complete(3, Pace::OneByOne, until(3_000));
        assert_eq!(short.next(at(0)), Step::Connect(0));
        assert_eq!(short.next(at(0)), Step::Sleep(until(2_000)));
        assert_eq!(short.next(at(2_000)), Step::Abandon(0));
        assert_eq!(short.next(at(2_000)), Step::Connect(1));
        assert_eq!(short.next(at(2_000)), Step::Sleep(until(3_000)));
        assert_eq!(short.next(at(3_000)), Step::Abandon(1));
        assert_eq!(short.next(at(3_000)), Step::TimedOut);
    }

    #[test]
    fn one_by_one_without_a_deadline_waits_for_each() {
        let mut race = complete(2, Pace::OneByOne, Deadline::NEVER);
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(99_000)), Step::Sleep(Deadline::NEVER));
        race.failed(0);
        assert_eq!(race.next(at(99_000)), Step::Connect(1));
    }

    #[test]
    fn addresses_that_arrive_later_join_in_their_turn() {
        let mut race = Race::new(Pace::Staggered(DELAY), Deadline::NEVER);
        assert_eq!(race.next(at(0)), Step::Sleep(Deadline::NEVER));
        race.offer(1, [0]);
        assert_eq!(race.next(at(10)), Step::Connect(0));
        assert_eq!(race.next(at(10)), Step::Sleep(Deadline::NEVER));
        race.offer(3, [2, 1]);
        assert_eq!(race.next(at(20)), Step::Sleep(until(260)));
        assert_eq!(race.next(at(260)), Step::Connect(2));
        race.failed(0);
        assert_eq!(race.next(at(270)), Step::Connect(1));
        race.failed(1);
        race.failed(2);
        assert_eq!(race.next(at(280)), Step::Sleep(Deadline::NEVER));
        race.complete();
        assert_eq!(race.next(at(280)), Step::Failed);
    }

    #[test]
    fn the_other_family_gets_fifty_milliseconds_to_arrive() {
        let mut race = Race::new(Pace::Staggered(DELAY), Deadline::NEVER);
        race.offer(1, [0]);
        race.hold_until(at(0).after(RESOLUTION_DELAY));
        assert_eq!(race.next(at(0)), Step::Sleep(until(50)));
        assert_eq!(race.next(at(49)), Step::Sleep(until(50)));
        assert_eq!(race.next(at(50)), Step::Connect(0));

        let mut sooner = Race::new(Pace::OneByOne, Deadline::NEVER);
        sooner.offer(1, [0]);
        sooner.hold_until(at(50));
        sooner.offer(2, [1, 0]);
        sooner.hold_until(at(20));
        assert_eq!(sooner.next(at(20)), Step::Connect(1));
    }

    #[test]
    fn success_after_the_winner_is_a_loser() {
        let mut race = staggered(2, Deadline::NEVER);
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(250)), Step::Connect(1));
        race.connected(1);
        assert_eq!(race.next(at(251)), Step::Abandon(0));
        assert_eq!(race.next(at(300)), Step::Won(1));
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
                        Step::Connect(number) => {
                            prop_assert!(!opened.contains(&number));
                            opened.push(number);
                            open.push(number);
                            let most = if one_by_one { 1 } else { MOST_IN_FLIGHT };
                            prop_assert!(open.len() <= most);
                        }
                        Step::Abandon(number) => {
                            prop_assert!(open.contains(&number));
                            open.retain(|&one| one != number);
                        }
                        Step::Won(number) => {
                            prop_assert_eq!(&open, &vec![number]);
                            ended = Some(());
                            break;
                        }
                        Step::Failed | Step::TimedOut => {
                            prop_assert!(open.is_empty());
                            ended = Some(());
                            break;
                        }
                        Step::Sleep(wake) => match events.next() {
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
                                let untried: Vec<_> = (0..known).filter(|one| !opened.contains(one)).collect();
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
}
