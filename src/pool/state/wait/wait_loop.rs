//! How a borrower in line comes by its answer: it is woken, looks under the lock, and goes on until
//! there is an answer or its time is over.
//!
//! What it is answered is stored in the state, under the lock, before it is woken: so whoever ends
//! a wait early (time, a token) sees under the same lock whether an answer was on its way, and
//! passes it on. Knows no clock, no lock and no descriptor of its own, so that `tests/handoffs`
//! takes the same lines through every order of events.
#![forbid(unsafe_code)]

use std::io;
use std::ops::ControlFlow;

use crate::pool::state::answer::{LimitReached, Take, Ticket, WaitPoll};
use crate::pool::state::held::Held;
use crate::values::clock::{Deadline, Time};

/// The borrower and its pool.
pub(crate) trait Waiter {
    type Conn: Held;
    fn is_canceled(&self) -> bool;
    fn now(&self) -> Time;
    /// `State::look_after`, as one transition.
    fn poll_wait(&self, ticket: Ticket, is_late: bool, is_over: bool) -> WaitPoll<Self::Conn>;
    /// `State::leave`, as one transition.
    fn cancel_wait(&self, ticket: Ticket);
}

/// One who sleeps meanwhile.
pub(crate) trait ParkingWaiter: Waiter {
    /// Until it is woken, canceled, or `until`; at times for no reason.
    fn sleep(&self, until: Deadline) -> io::Result<()>;
    /// Frees a descriptor for `sleep`; false if it cannot.
    fn make_room(&self) -> bool;
}

/// How long a borrower waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitDeadlines {
    /// At a limit.
    pub(crate) at_a_limit: Deadline,
    /// For its turn to dial too.
    pub(crate) at_all: Deadline,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum WaitError {
    Canceled,
    TimedOut(LimitReached),
    CannotSleep(io::Error),
}

/// A look: the answer, or until when to wait for it.
pub(crate) fn poll<W: Waiter>(
    waiter: &W,
    ticket: Ticket,
    deadlines: WaitDeadlines,
) -> Result<ControlFlow<Take<W::Conn>, Deadline>, WaitError> {
    if waiter.is_canceled() {
        waiter.cancel_wait(ticket);
        return Err(WaitError::Canceled);
    }
    let now = waiter.now();
    let WaitDeadlines { at_a_limit, at_all } = deadlines;
    let (is_late, is_over) = (at_a_limit.has_passed(now), at_all.has_passed(now));
    match waiter.poll_wait(ticket, is_late, is_over) {
        WaitPoll::Ready(answer) => Ok(ControlFlow::Break(answer)),
        WaitPoll::TimedOut(why) => Err(WaitError::TimedOut(why)),
        WaitPoll::Pending if is_late => Ok(ControlFlow::Continue(at_all)),
        WaitPoll::Pending => Ok(ControlFlow::Continue(at_a_limit)),
    }
}

/// Sleeps until there is an answer.
pub(crate) fn wait<S: ParkingWaiter>(
    sleeper: &S,
    ticket: Ticket,
    deadlines: WaitDeadlines,
) -> Result<Take<S::Conn>, WaitError> {
    let mut until = deadlines.at_a_limit;
    loop {
        let slept = sleeper.sleep(until);
        match poll(sleeper, ticket, deadlines)? {
            ControlFlow::Break(answer) => return Ok(answer),
            ControlFlow::Continue(later) => until = later,
        }
        // No descriptor left to be woken by: the longest idle connection gives its own.
        if let Err(error) = slept {
            if !sleeper.make_room() {
                sleeper.cancel_wait(ticket);
                return Err(WaitError::CannotSleep(error));
            }
        }
    }
}
