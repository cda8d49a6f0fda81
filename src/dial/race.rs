//! Which address is tried when: RFC 8305 section 5 as a state machine. It takes the time and what happened, says what to
//! do next, and never sleeps; `drive` runs it in a calling thread.
//!
//! | an address is | on | becomes |
//! |---|---|---|
//! | Waiting | its turn (`next` says Connect) | Trying |
//! | Trying | `connected` | Won; `next` then abandons every other Trying one |
//! | Trying | `failed`, or its share of time ran out (`next` says Abandon) | Ended |
//! | Trying | the deadline passed, or another one won (`next` says Abandon) | Ended |
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::values::clock::{Deadline, Time};

/// Attempts in flight at once. RFC 8305 sets no bound; six waves of 250 ms have waited 1.5 s for the first answer, and a
/// name with dozens of addresses must not open dozens of sockets.
pub(crate) const MOST_IN_FLIGHT: usize = 6;

/// One after another, each address gets an equal share of what is left, but at least so much (Go: partialDeadline).
pub(crate) const LEAST_SHARE: Duration = Duration::from_secs(2);

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
    pace: Pace,
    deadline: Deadline,
    next_start: Time,
}

impl Race {
    pub(crate) fn new(addresses: usize, pace: Pace, deadline: Deadline) -> Self {
        Self {
            attempts: vec![Attempt::Waiting; addresses],
            pace,
            deadline,
            next_start: Time::default(),
        }
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
        let waiting = self.position(|one| *one == Attempt::Waiting);
        match waiting {
            Some(number) if self.may_start(now) => {
                self.start(number, now);
                Step::Connect(number)
            }
            None if self.in_flight() == 0 => Step::Failed,
            _ => Step::Sleep(self.wake_at(waiting.is_some())),
        }
    }

    fn may_start(&self, now: Time) -> bool {
        match (self.in_flight(), self.pace) {
            (0, _) => true,
            (_, Pace::OneByOne) => false,
            (in_flight, Pace::Staggered(_)) => in_flight < MOST_IN_FLIGHT && self.next_start <= now,
        }
    }

    fn start(&mut self, number: usize, now: Time) {
        let until = match self.pace {
            Pace::Staggered(delay) => {
                self.next_start = now.after(delay);
                self.deadline
            }
            Pace::OneByOne => self.share(number, now),
        };
        self.attempts[number] = Attempt::Trying { until };
    }

    fn share(&self, number: usize, now: Time) -> Deadline {
        let Some(end) = self.deadline.time() else {
            return Deadline::NEVER;
        };
        let addresses_left = (self.attempts.len() - number) as u32;
        let share = (end.since(now) / addresses_left).max(LEAST_SHARE);
        Deadline::at(now.after(share)).min(self.deadline)
    }

    fn wake_at(&self, some_wait: bool) -> Deadline {
        let shares = self.attempts.iter().filter_map(|one| match one {
            Attempt::Trying { until } => Some(*until),
            _ => None,
        });
        let mut wake = shares.fold(self.deadline, Deadline::min);
        if some_wait && self.pace != Pace::OneByOne && self.in_flight() < MOST_IN_FLIGHT {
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

    fn staggered(addresses: usize, deadline: Deadline) -> Race {
        Race::new(addresses, Pace::Staggered(DELAY), deadline)
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
        let mut race = Race::new(3, Pace::OneByOne, until(9_000));
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(0)), Step::Sleep(until(3_000)));
        assert_eq!(race.next(at(3_000)), Step::Abandon(0));
        assert_eq!(race.next(at(3_000)), Step::Connect(1));
        assert_eq!(race.next(at(3_000)), Step::Sleep(until(6_000)));

        let mut short = Race::new(3, Pace::OneByOne, until(3_000));
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
        let mut race = Race::new(2, Pace::OneByOne, Deadline::NEVER);
        assert_eq!(race.next(at(0)), Step::Connect(0));
        assert_eq!(race.next(at(99_000)), Step::Sleep(Deadline::NEVER));
        race.failed(0);
        assert_eq!(race.next(at(99_000)), Step::Connect(1));
    }
}
