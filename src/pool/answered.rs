//! How a borrower in line comes by its answer: asleep, then a look under the lock, until there is an answer or its time is over.
//!
//! What it is answered is stored in the state, under the lock, before it is woken: so whoever ends a wait early (time, a token) sees
//! under the same lock whether an answer was on its way, and passes it on. Knows no clock, no lock and no descriptor of its own,
//! so that `tests/handoffs` takes the same lines through every order of events.
#![forbid(unsafe_code)]

use std::io;

use super::shelf::Held;
use super::state::answer::{Blocked, Take, Ticket, Waited};
use crate::values::clock::{Deadline, Time};

/// The borrower and its pool.
pub(crate) trait Sleeper {
    type Conn: Held;
    /// Until it is woken, canceled, or `until`; at times for no reason.
    fn sleep(&self, until: Deadline) -> io::Result<()>;
    fn is_canceled(&self) -> bool;
    fn now(&self) -> Time;
    /// `State::look_after`, as one transition.
    fn look_after(&self, ticket: Ticket, is_late: bool, is_over: bool) -> Waited<Self::Conn>;
    /// `State::leave`, as one transition.
    fn leave(&self, ticket: Ticket);
    /// Frees a descriptor for `sleep`; false if it cannot.
    fn make_room(&self) -> bool;
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Canceled,
    TimedOut(Blocked),
    CannotSleep(io::Error),
}

/// `wait_until` bounds the wait at a limit, `deadline` that for a turn to dial too.
pub(crate) fn answer<S: Sleeper>(
    sleeper: &S,
    ticket: Ticket,
    wait_until: Deadline,
    deadline: Deadline,
) -> Result<Take<S::Conn>, Unanswered> {
    let mut until = wait_until;
    loop {
        let slept = sleeper.sleep(until);
        if sleeper.is_canceled() {
            sleeper.leave(ticket);
            return Err(Unanswered::Canceled);
        }
        let now = sleeper.now();
        let (is_late, is_over) = (until.has_passed(now), deadline.has_passed(now));
        match sleeper.look_after(ticket, is_late, is_over) {
            Waited::Answered(answer) => return Ok(answer),
            Waited::Left(why) => return Err(Unanswered::TimedOut(why)),
            Waited::GoesOn if is_late => until = deadline,
            Waited::GoesOn => {}
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
