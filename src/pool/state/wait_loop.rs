//! How a borrower in line comes by its answer: it is woken, looks under the lock, and goes on until there is an answer or its time
//! is over.
//!
//! What it is answered is stored in the state, under the lock, before it is woken: so whoever ends a wait early (time, a token) sees
//! under the same lock whether an answer was on its way, and passes it on. Knows no clock, no lock and no descriptor of its own,
//! so that `tests/handoffs` takes the same lines through every order of events.
#![forbid(unsafe_code)]

use std::io;
use std::ops::ControlFlow;

use super::answer::{Blocked, Take, Ticket, Waited};
use super::held::Held;
use crate::values::clock::{Deadline, Time};

/// The borrower and its pool.
pub(crate) trait Waiter {
    type Conn: Held;
    fn is_canceled(&self) -> bool;
    fn now(&self) -> Time;
    /// `State::look_after`, as one transition.
    fn look_after(&self, ticket: Ticket, is_late: bool, is_over: bool) -> Waited<Self::Conn>;
    /// `State::leave`, as one transition.
    fn leave(&self, ticket: Ticket);
}

/// One who sleeps meanwhile.
pub(crate) trait Sleeper: Waiter {
    /// Until it is woken, canceled, or `until`; at times for no reason.
    fn sleep(&self, until: Deadline) -> io::Result<()>;
    /// Frees a descriptor for `sleep`; false if it cannot.
    fn make_room(&self) -> bool;
}

/// How long a borrower waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// At a limit.
    pub(crate) at_a_limit: Deadline,
    /// For its turn to dial too.
    pub(crate) at_all: Deadline,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Canceled,
    TimedOut(Blocked),
    CannotSleep(io::Error),
}

/// A look: the answer, or until when to wait for it.
pub(crate) fn look<W: Waiter>(
    waiter: &W,
    ticket: Ticket,
    patience: Patience,
) -> Result<ControlFlow<Take<W::Conn>, Deadline>, Unanswered> {
    if waiter.is_canceled() {
        waiter.leave(ticket);
        return Err(Unanswered::Canceled);
    }
    let now = waiter.now();
    let Patience { at_a_limit, at_all } = patience;
    let (is_late, is_over) = (at_a_limit.has_passed(now), at_all.has_passed(now));
    match waiter.look_after(ticket, is_late, is_over) {
        Waited::Answered(answer) => Ok(ControlFlow::Break(answer)),
        Waited::Left(why) => Err(Unanswered::TimedOut(why)),
        Waited::GoesOn if is_late => Ok(ControlFlow::Continue(at_all)),
        Waited::GoesOn => Ok(ControlFlow::Continue(at_a_limit)),
    }
}

/// Sleeps until there is an answer.
pub(crate) fn answer<S: Sleeper>(
    sleeper: &S,
    ticket: Ticket,
    patience: Patience,
) -> Result<Take<S::Conn>, Unanswered> {
    let mut until = patience.at_a_limit;
    loop {
        let slept = sleeper.sleep(until);
        match look(sleeper, ticket, patience)? {
            ControlFlow::Break(answer) => return Ok(answer),
            ControlFlow::Continue(later) => until = later,
        }
        // No descriptor left to be woken by: the longest idle connection gives its own.
        if let Err(error) = slept {
            if !sleeper.make_room() {
                sleeper.leave(ticket);
                return Err(Unanswered::CannotSleep(error));
            }
        }
    }
}
