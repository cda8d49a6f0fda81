//! A borrower: asks the pool's state for a connection, and waits while others are served,
//! parked (`ParkedBorrower`) or told by the engine (`async_dial`).
//!
//! No lock is held while it sleeps; `wait_loop` has the loop.
#![forbid(unsafe_code)]

use std::io;

use crate::handle::Owned;
use crate::pool::callbacks::deferred::DeferredEvent;
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::Conn;
use crate::pool::errors::{canceled, system_error};
use crate::pool::state::answer::{LateBinding, Request, Reuse, Take, Ticket, WaitPoll};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::wait::wait_loop;
use crate::pool::state::wait::wait_loop::{ParkingWaiter, WaitDeadlines, WaitError, Waiter};
use crate::pool::{BorrowOptions, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::sys::wake::{Parker, Wake};
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::error::{Error, Phase, Result};
use crate::values::event::EventKind;

pub(crate) type Taken = Take<Owned<Conn>>;

/// After a restart of the server all idle connections are dead, and the watch closes them one by
/// one in the background. A borrower that found so many dead leaves the others to it: looking at
/// hundreds takes longer than a dial.
const DEAD_ENOUGH: u32 = 3;

/// What a borrower has been through.
#[derive(Debug, Default)]
pub(crate) struct WaitState {
    ticket: Option<Ticket>,
    /// Idle connections that were handed out unfit.
    unfit: u32,
    has_waited: bool,
}

impl WaitState {
    pub(crate) fn of(options: &BorrowOptions) -> Self {
        Self {
            unfit: options.found_unfit,
            ..Self::default()
        }
    }
}

/// One borrow, while it asks the pool's state and waits.
pub(crate) struct Borrower<'a> {
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) options: &'a BorrowOptions,
    pub(crate) destination: &'a Arc<Destination>,
    pub(crate) wait_state: &'a mut WaitState,
}

impl Borrower<'_> {
    fn distrusts_idle(&self) -> bool {
        self.wait_state.unfit >= DEAD_ENOUGH
    }

    fn request(&self) -> Request<'_> {
        Request {
            destination: self.destination,
            reuse: self.options.reuse,
            may_wait: self.options.wait_until.is_some(),
            distrusts_idle: self.distrusts_idle(),
            has_waited: self.wait_state.has_waited,
        }
    }

    /// A connection, the right to dial one, or the advice to wait; then `waker` is told of the
    /// answer.
    pub(crate) fn take(&mut self, waker: impl FnOnce() -> Arc<dyn Wake>) -> Result<Taken> {
        let request = self.request();
        let (ticket, taken) = self.pool.change(|state, now, effects| {
            let room = self.pool.reserve_one(state);
            room.map(|()| state.take(request, now, waker, effects))
        })?;
        self.wait_state.ticket = Some(ticket);
        Ok(taken)
    }

    /// Asks again after a connection that turned out to be unfit: that one is closed, and the
    /// ticket stays.
    pub(crate) fn take_another(
        &mut self,
        conn: Owned<Conn>,
        cause: CloseCause,
        waker: impl FnOnce() -> Arc<dyn Wake>,
    ) -> Taken {
        let ticket = self.ticket();
        self.wait_state.unfit += 1;
        let request = self.request();
        self.pool.change(|state, now, effects| {
            state.take_another(ticket, (conn, cause), request, now, waker, effects)
        })
    }

    pub(crate) fn ticket(&self) -> Ticket {
        match self.wait_state.ticket {
            Some(ticket) => ticket,
            None => unreachable!("nothing was taken without a ticket"),
        }
    }

    /// When the deadline passes it is the destination that was too slow: the dial had all the time
    /// of the pool.
    pub(crate) fn blames_destination(&self) -> bool {
        self.options.blames_destination && !self.wait_state.has_waited
    }

    /// What a dial of this borrower takes while it runs.
    pub(crate) fn late_binding(&self) -> LateBinding {
        match self.options.reuse {
            Reuse::Never => LateBinding::Off,
            _ if self.distrusts_idle() => LateBinding::GivenBack,
            _ => LateBinding::Any,
        }
    }

    pub(crate) fn deadlines(&self) -> WaitDeadlines {
        WaitDeadlines {
            at_a_limit: self.options.wait_until.unwrap_or(self.options.deadline),
            at_all: self.options.deadline,
        }
    }

    /// The state has said to wait. Returns when the wait began.
    pub(crate) fn begin_wait(&mut self) -> Result<Time> {
        self.wait_state.has_waited = true;
        self.pool
            .emit_plain(EventKind::WaitStart, self.destination, self.options.label());
        self.pool.fail_if_inherited()?;
        Ok(clock::now())
    }

    /// The state has said to wait, and the dial ends before the wait has begun: no event tells of
    /// either.
    pub(crate) fn leave_queue(&self) {
        let ticket = self.ticket();
        self.pool.change(|state, now, effects| {
            state.cancel_wait(ticket, now, effects);
            state.wait_told(ticket);
        });
    }

    pub(crate) fn end_wait(
        &self,
        began: Time,
        result: std::result::Result<Taken, WaitError>,
    ) -> Result<Taken> {
        let result = result.map_err(|why| match why {
            WaitError::Canceled => canceled(),
            WaitError::TimedOut(why) => Error::timeout(Phase::Waiting, &why.to_string()),
            WaitError::CannotSleep(error) => system_error("eventfd", &error),
        });
        let error = match &result {
            Err(error) => Some(error.clone()),
            Ok(Take::Refused(refusal)) => Some(refusal.clone().into()),
            Ok(_) => None,
        };
        self.tell_wait_end(began, error.as_ref());
        result
    }

    /// `None`: it was served.
    pub(crate) fn tell_wait_end(&self, began: Time, error: Option<&Error>) {
        let waited = clock::now().since(began);
        self.pool.locked().add_wait_time(waited);
        if self.pool.is_observed() {
            let (kind, label) = (EventKind::WaitDone, self.options.label());
            let end = DeferredEvent::new(kind, self.destination, label, began, error);
            let then = FollowUp::EndWait(self.ticket());
            self.pool.emit_end(end, Some(then));
        }
    }
}

impl Waiter for Borrower<'_> {
    type Conn = Owned<Conn>;

    fn is_canceled(&self) -> bool {
        let token = self.options.token.as_ref();
        token.is_some_and(|token| token.has_fired())
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn poll_wait(&self, ticket: Ticket, is_late: bool, is_over: bool) -> WaitPoll<Owned<Conn>> {
        self.pool
            .change(|state, now, effects| state.poll_wait(ticket, is_late, is_over, now, effects))
    }

    fn cancel_wait(&self, ticket: Ticket) {
        self.pool
            .change(|state, now, effects| state.cancel_wait(ticket, now, effects));
    }
}

/// One who sleeps until there is an answer.
pub(crate) struct ParkedBorrower<'a> {
    pub(crate) borrower: Borrower<'a>,
    parker: Option<Arc<Parker>>,
}

impl<'a> ParkedBorrower<'a> {
    pub(crate) fn new(borrower: Borrower<'a>) -> Self {
        Self {
            borrower,
            parker: None,
        }
    }

    /// A connection, or the right to dial one.
    pub(crate) fn take(&mut self) -> Result<Taken> {
        let Self { borrower, parker } = self;
        let options = borrower.options;
        let taken = borrower.take(|| waker(parker, options))?;
        self.wait_if_told(taken)
    }

    /// Asks again, and waits if it must, after a connection that turned out to be unfit.
    pub(crate) fn take_another(&mut self, conn: Owned<Conn>, cause: CloseCause) -> Result<Taken> {
        let Self { borrower, parker } = self;
        let options = borrower.options;
        let taken = borrower.take_another(conn, cause, || waker(parker, options));
        self.wait_if_told(taken)
    }

    fn wait_if_told(&mut self, taken: Taken) -> Result<Taken> {
        if !matches!(taken, Take::Wait) {
            return Ok(taken);
        }
        let began = self.borrower.begin_wait()?;
        let result = wait_loop::wait(self, self.borrower.ticket(), self.borrower.deadlines());
        self.borrower.end_wait(began, result)
    }
}

impl Waiter for ParkedBorrower<'_> {
    type Conn = Owned<Conn>;

    fn is_canceled(&self) -> bool {
        self.borrower.is_canceled()
    }

    fn now(&self) -> Time {
        self.borrower.now()
    }

    fn poll_wait(&self, ticket: Ticket, is_late: bool, is_over: bool) -> WaitPoll<Owned<Conn>> {
        self.borrower.poll_wait(ticket, is_late, is_over)
    }

    fn cancel_wait(&self, ticket: Ticket) {
        self.borrower.cancel_wait(ticket);
    }
}

impl ParkingWaiter for ParkedBorrower<'_> {
    fn sleep(&self, until: Deadline) -> io::Result<()> {
        let Some(parker) = &self.parker else {
            unreachable!("a waiting borrower has a waker");
        };
        parker.park(until, self.borrower.options.token.as_deref())
    }

    fn make_room(&self) -> bool {
        self.borrower.pool.close_longest_idle()
    }
}

fn waker(parker: &mut Option<Arc<Parker>>, options: &BorrowOptions) -> Arc<dyn Wake> {
    let parker = parker.get_or_insert_with(|| Arc::new(Parker::new(options.token.is_some())));
    parker.clone()
}
