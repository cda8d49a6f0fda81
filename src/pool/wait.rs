//! A borrower in line: asks the pool's state for a connection, and sleeps while others are served.
//!
//! No lock is held while it sleeps; `answered` has the loop.
#![forbid(unsafe_code)]

use std::io;

use super::answered::{self, Sleeper, Unanswered};
use super::conn::Conn;
use super::state::answer::{Meanwhile, Request, Take, Ticket, Waited, Want};
use super::stats::Cause;
use super::{canceled, system_error, Ask, Pool};
use crate::handle::Owned;
use crate::sync::Arc;
use crate::sys::bell::Bell;
use crate::sys::clock;
use crate::sys::nap::Nap;
use crate::values::address::Destination;
use crate::values::clock::{Deadline, Time};
use crate::values::error::{Error, Phase, Result};
use crate::values::event::Kind;

type Taken = Take<Owned<Conn>>;

/// After a restart of the server all idle connections are dead, and the watch closes them one by one in the background. A
/// borrower that found so many dead leaves the others to it: looking at hundreds takes longer than a dial.
const DEAD_ENOUGH: u32 = 3;

/// Who is told that there is an answer.
#[derive(Clone, Debug)]
pub(crate) enum Waker {
    Sleeper(Arc<Nap>),
    /// A dial in flight.
    Dial(Arc<Bell>),
}

impl Waker {
    pub(super) fn wake(&self) {
        match self {
            Waker::Sleeper(nap) => nap.wake(),
            Waker::Dial(bell) => bell.ring(),
        }
    }
}

/// See the module.
pub(super) struct InLine<'a> {
    pool: &'a Pool,
    ask: &'a Ask,
    request: Request<'a>,
    ticket: Option<Ticket>,
    nap: Option<Arc<Nap>>,
    /// Idle connections that were handed out dead.
    dead: u32,
}

impl<'a> InLine<'a> {
    pub(super) fn new(pool: &'a Pool, destination: &'a Arc<Destination>, ask: &'a Ask) -> Self {
        Self {
            pool,
            ask,
            request: Request {
                destination,
                want: ask.want,
                may_wait: ask.wait_until.is_some(),
                distrusts_idle: false,
                has_waited: false,
            },
            ticket: None,
            nap: None,
            dead: 0,
        }
    }

    /// A connection, or the right to dial one.
    pub(super) fn take(&mut self) -> Result<Taken> {
        let Self {
            pool,
            ask,
            request,
            nap,
            ..
        } = self;
        let (ticket, taken) = pool
            .change(|state, now, effects| state.take(*request, now, || bell(nap, ask), effects));
        self.ticket = Some(ticket);
        self.wait_if_told(ticket, taken)
    }

    /// The same after a connection that turned out to be unfit: it is closed, and the ticket stays.
    pub(super) fn take_another(&mut self, conn: Owned<Conn>, cause: Cause) -> Result<Taken> {
        let Some(ticket) = self.ticket else {
            unreachable!("nothing was taken without a ticket");
        };
        self.dead += 1;
        self.request.distrusts_idle = self.dead >= DEAD_ENOUGH;
        let Self {
            pool,
            ask,
            request,
            nap,
            ..
        } = self;
        let taken = pool.change(|state, now, effects| {
            let unfit = (conn, cause);
            let bell = || bell(nap, ask);
            state.take_another(ticket, unfit, *request, now, bell, effects)
        });
        self.wait_if_told(ticket, taken)
    }

    pub(super) fn ask(&self) -> &Ask {
        self.ask
    }

    /// When the deadline passes it is the destination that was too slow: the dial had all the time of the pool.
    pub(super) fn is_patient(&self) -> bool {
        self.ask.is_patient && !self.request.has_waited
    }

    /// What a dial of this borrower takes while it runs.
    pub(super) fn takes_meanwhile(&self) -> Meanwhile {
        match self.request {
            Request {
                want: Want::Fresh, ..
            } => Meanwhile::Nothing,
            Request {
                distrusts_idle: true,
                ..
            } => Meanwhile::GivenBack,
            _ => Meanwhile::Anything,
        }
    }

    fn wait_if_told(&mut self, ticket: Ticket, taken: Taken) -> Result<Taken> {
        if !matches!(taken, Take::Wait) {
            return Ok(taken);
        }
        self.request.has_waited = true;
        let (destination, label) = (self.request.destination, self.ask.label());
        self.pool.tell_of(Kind::WaitStart, destination, label);
        self.pool.fail_if_inherited()?;
        let began = clock::now();
        let result = self.wait(ticket);
        let waited = clock::now().since(began);
        self.pool.state.lock().waited(waited);
        let error = match &result {
            Err(error) => Some(error.clone()),
            Ok(Take::Refused(refusal)) => Some(refusal.clone().into()),
            Ok(_) => None,
        };
        self.pool
            .tell_end(Kind::WaitDone, destination, label, began, error.as_ref());
        result
    }

    fn wait(&self, ticket: Ticket) -> Result<Taken> {
        let deadline = self.ask.deadline;
        let wait_until = self.ask.wait_until.unwrap_or(deadline);
        answered::answer(self, ticket, wait_until, deadline).map_err(|why| match why {
            Unanswered::Canceled => canceled(),
            Unanswered::TimedOut(why) => Error::timeout(Phase::Waiting, &why.to_string()),
            Unanswered::CannotSleep(error) => system_error("eventfd", &error),
        })
    }
}

impl Sleeper for InLine<'_> {
    type Conn = Owned<Conn>;

    fn sleep(&self, until: Deadline) -> io::Result<()> {
        let Some(nap) = &self.nap else {
            unreachable!("who stands in line has a bell");
        };
        nap.sleep(until, self.ask.token.as_deref())
    }

    fn is_canceled(&self) -> bool {
        let token = self.ask.token.as_ref();
        token.is_some_and(|token| token.has_fired())
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn look_after(&self, ticket: Ticket, is_late: bool, is_over: bool) -> Waited<Owned<Conn>> {
        self.pool
            .change(|state, now, effects| state.look_after(ticket, is_late, is_over, now, effects))
    }

    fn leave(&self, ticket: Ticket) {
        self.pool
            .change(|state, now, effects| state.leave(ticket, now, effects));
    }

    fn make_room(&self) -> bool {
        self.pool.close_longest_idle()
    }
}

fn bell(nap: &mut Option<Arc<Nap>>, ask: &Ask) -> Waker {
    let nap = nap.get_or_insert_with(|| Arc::new(Nap::new(ask.token.is_some())));
    Waker::Sleeper(nap.clone())
}
