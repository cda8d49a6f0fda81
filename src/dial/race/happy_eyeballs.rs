//! Which address is tried when: RFC 8305 section 5 as a state machine. It takes the time and what
//! happened, says what to do next, and never sleeps; `drive` runs it.
//!
//! | an address is | on | becomes |
//! |---|---|---|
//! | Waiting | its turn (`next` says Connect) | Trying |
//! | Trying | `connected` | Won; `next` then abandons every other Trying one |
//! | Trying | `failed`, or its share of time ran out (`next` says Abandon) | Ended |
//! | Trying | it makes room: see [`LEAST_SHARE`] (`next` says Abandon) | Ended |
//! | Trying | the deadline passed, or another one won (`next` says Abandon) | Ended |
//!
//! Addresses may arrive while it runs (`offer`), until `complete`.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Duration;

use crate::values::clock::{Deadline, Time};

/// Attempts in flight at once. RFC 8305 sets no bound. Six waves of 250 ms have waited 1.5 s for
/// the first answer, and a name with dozens of addresses must not open dozens of sockets.
pub(crate) const MOST_IN_FLIGHT: usize = 6;

/// One after another, each address gets an equal share of what is left, but at least so much (Go:
/// partialDeadline). Staggered, the oldest of [`MOST_IN_FLIGHT`] has as much before it makes room
/// for an address that waits: six dead addresses do not hide a seventh.
pub(crate) const LEAST_SHARE: Duration = Duration::from_secs(2);

/// RFC 8305 section 3, "Resolution Delay": when IPv4 addresses arrive first, IPv6 gets so long to
/// arrive too.
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
enum AttemptState {
    Waiting,
    Trying { since: Time },
    Won,
    Ended,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
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
    attempts: Vec<AttemptState>,
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

    /// Addresses have arrived: there are `known` now, and those not tried yet are to be tried in
    /// this order.
    pub(crate) fn offer(&mut self, known: usize, order: impl IntoIterator<Item = usize>) {
        self.attempts
            .resize(known.max(self.attempts.len()), AttemptState::Waiting);
        let attempts = &self.attempts;
        self.order = order
            .into_iter()
            .filter(|&one| attempts[one] == AttemptState::Waiting)
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

    fn position(&self, test: impl Fn(&AttemptState) -> bool) -> Option<usize> {
        self.attempts.iter().position(test)
    }

    fn in_flight(&self) -> usize {
        self.attempts
            .iter()
            .filter(|one| matches!(one, AttemptState::Trying { .. }))
            .count()
    }

    /// Number, and when it began.
    fn oldest(&self) -> Option<(usize, Time)> {
        let attempts = self.attempts.iter().enumerate();
        let trying = attempts.filter_map(|(number, one)| match one {
            AttemptState::Trying { since } => Some((number, *since)),
            _ => None,
        });
        trying.min_by_key(|(_, since)| *since)
    }

    fn abandon_oldest(&mut self) -> Option<Action> {
        let (number, _) = self.oldest()?;
        self.attempts[number] = AttemptState::Ended;
        Some(Action::Abandon(number))
    }

    /// What to do at `now`. To be called again until it says Sleep, Won, Failed or TimedOut.
    pub(crate) fn next(&mut self, now: Time) -> Action {
        if let Some(winner) = self.position(|one| *one == AttemptState::Won) {
            return self.abandon_oldest().unwrap_or(Action::Won(winner));
        }
        if self.deadline.has_passed(now) {
            return self.abandon_oldest().unwrap_or(Action::TimedOut);
        }
        if self.oldest_until().has_passed(now) {
            if let Some(step) = self.abandon_oldest() {
                return step;
            }
        }
        match self.order.front().copied() {
            Some(number) if self.may_start(now) => {
                self.order.pop_front();
                self.start(number, now);
                Action::Connect(number)
            }
            None if self.in_flight() == 0 && !self.may_come => Action::Failed,
            _ => Action::Sleep(self.wake_at()),
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
        if let Pace::Staggered(delay) = self.pace {
            self.next_start = now.after(delay);
        }
        self.attempts[number] = AttemptState::Trying { since: now };
    }

    /// Until when the oldest attempt may go on.
    fn oldest_until(&self) -> Deadline {
        let Some((_, since)) = self.oldest() else {
            return Deadline::NEVER;
        };
        let others_wait = !self.order.is_empty();
        let until = match self.pace {
            Pace::OneByOne => self.share(since),
            Pace::Staggered(_) if others_wait && self.in_flight() == MOST_IN_FLIGHT => {
                Deadline::at(since.after(LEAST_SHARE).max(self.next_start))
            }
            Pace::Staggered(_) => Deadline::NEVER,
        };
        until.min(self.deadline)
    }

    fn share(&self, since: Time) -> Deadline {
        let Some(end) = self.deadline.time() else {
            return Deadline::NEVER;
        };
        let addresses_left = self.order.len() as u32 + 1;
        let share = (end.since(since) / addresses_left).max(LEAST_SHARE);
        Deadline::at(since.after(share))
    }

    fn wake_at(&self) -> Deadline {
        let wake = self.oldest_until().min(self.deadline);
        let may_start_later = match (self.in_flight(), self.pace) {
            (0, _) => true,
            (_, Pace::OneByOne) => false,
            (in_flight, Pace::Staggered(_)) => in_flight < MOST_IN_FLIGHT,
        };
        // A defect that `tests/simulation` builds in, to see that it is found.
        let is_lost = cfg!(feature = "plant-lost-fallback");
        if may_start_later && !self.order.is_empty() && !is_lost {
            return wake.min(Deadline::at(self.next_start));
        }
        wake
    }

    /// The attempt reached its peer. The first one wins; `next` abandons those that come later.
    pub(crate) fn connected(&mut self, number: usize) {
        self.attempts[number] = AttemptState::Won;
    }

    /// The attempt failed: the next one need not wait any longer.
    pub(crate) fn failed(&mut self, number: usize) {
        self.attempts[number] = AttemptState::Ended;
        self.next_start = Time::default();
    }
}

#[cfg(test)]
mod tests;
