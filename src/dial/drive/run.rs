//! Runs a dial: in the calling thread, asleep in poll(2), or poll by poll for a caller that is
//! woken when something happens.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;

use super::callback_dial::dial_by_callback;
use super::connected::{ConnectedSocket, Dialed};
use super::dial::{prefer_end, Dial};
use super::open_session::open_by_callback;
use crate::dial::caller::{shortage, BlockingCaller, DialCaller};
use crate::dial::dialer::Dialer;
use crate::dial::race::happy_eyeballs::Action;
use crate::sync::Arc;
use crate::sys::{self, clock};
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::error::Result;

/// How far a dial came while its caller slept.
#[derive(Debug)]
pub(crate) enum DialOutcome {
    Connected(Dialed),
    /// The caller has no more need of it; it can go on elsewhere.
    Left(Box<Dial>),
}

/// How far a dial came without sleeping.
#[derive(Debug)]
pub(crate) enum DialPoll {
    Connected(ConnectedSocket),
    /// Nothing to do before that time, unless something happens.
    Pending(Deadline),
}

/// How a dial begins.
#[derive(Debug)]
pub(crate) enum BegunDial {
    /// The dial callback has connected it, or open_session has opened it.
    Connected(Dialed),
    Begun(Box<Dial>),
}

/// Everything between an address and a connected socket, in the calling thread.
pub(crate) fn dial(
    destination: &Arc<Destination>,
    dialer: &Arc<Dialer>,
    deadline: Deadline,
    caller: &dyn BlockingCaller,
) -> Result<DialOutcome> {
    match begin(destination, dialer, deadline, caller.as_dial_caller())? {
        BegunDial::Connected(dialed) => Ok(DialOutcome::Connected(dialed)),
        BegunDial::Begun(dial) => dial.run(caller),
    }
}

/// The begin of a dial: the rewrite, dial and open_session callbacks run here, and a resolve
/// callback may.
pub(crate) fn begin(
    destination: &Arc<Destination>,
    dialer: &Arc<Dialer>,
    deadline: Deadline,
    caller: &dyn DialCaller,
) -> Result<BegunDial> {
    try_begin(destination, dialer, deadline, caller).map_err(|error| prefer_end(error, caller))
}

fn try_begin(
    destination: &Arc<Destination>,
    dialer: &Arc<Dialer>,
    deadline: Deadline,
    caller: &dyn DialCaller,
) -> Result<BegunDial> {
    let rewritten = dialer.rewrite(&destination.address)?;
    let address = rewritten.as_ref().unwrap_or(&destination.address);
    if let Some(socket) = dial_by_callback(address, dialer, deadline, caller)? {
        return Ok(BegunDial::Connected(Dialed::Socket(socket)));
    }
    if let Some(session) = open_by_callback(destination, address, dialer, deadline, caller)? {
        return Ok(BegunDial::Connected(Dialed::Session(session)));
    }
    let mut dial = Dial::new(destination, rewritten, dialer, deadline);
    dial.find_addresses(caller)?;
    Ok(BegunDial::Begun(Box::new(dial)))
}

impl Dial {
    /// Goes on until it is connected, or the caller leaves.
    pub(crate) fn run(mut self: Box<Self>, caller: &dyn BlockingCaller) -> Result<DialOutcome> {
        loop {
            match self.advance(caller.as_dial_caller())? {
                DialPoll::Connected(socket) => {
                    return Ok(DialOutcome::Connected(Dialed::Socket(socket)));
                }
                DialPoll::Pending(_) if caller.leaves() => return Ok(DialOutcome::Left(self)),
                DialPoll::Pending(until) => self.sleep(until, caller)?,
            }
        }
    }

    /// Takes what has happened, and goes on as far as it can without sleeping.
    pub(crate) fn poll(&mut self, caller: &dyn DialCaller) -> Result<DialPoll> {
        self.check(caller)?;
        self.wait_for_sockets(&[], Deadline::at(Time::default()))?;
        match self.advance(caller)? {
            DialPoll::Pending(until) => Ok(DialPoll::Pending(self.next_deadline(until))),
            connected => Ok(connected),
        }
    }

    fn advance(&mut self, caller: &dyn DialCaller) -> Result<DialPoll> {
        loop {
            let now = clock::now();
            let action = self.race.next(now);
            match action {
                Action::Connect(number) => self.start_attempt(number, now, caller)?,
                Action::Abandon(number) => self.abandon(number, now),
                Action::Sleep(until) => return Ok(DialPoll::Pending(until)),
                Action::Won(number) => return Ok(DialPoll::Connected(self.take_winner(number))),
                Action::Failed | Action::TimedOut => {
                    return Err(match (caller.ended(), action) {
                        (Some(error), _) => error,
                        (None, Action::Failed) => self.all_failed(),
                        (None, _) => self.note_timeout(now),
                    });
                }
            }
        }
    }

    /// Sleeps until something happened to an attempt or a lookup, the waker was woken, or `until`.
    fn sleep(&mut self, until: Deadline, caller: &dyn BlockingCaller) -> Result<()> {
        let dial_caller = caller.as_dial_caller();
        let waker = self.arm(dial_caller, || caller.waker().arm())?;
        let token = caller
            .token()
            .map(|token| self.arm(dial_caller, || token.arm()))
            .transpose()?;
        let wakers: Vec<BorrowedFd<'_>> = [Some(waker), token].into_iter().flatten().collect();
        let before = (self.endpoints.len(), self.source.is_some());
        self.check(dial_caller)?;
        // Then `until` may be too late.
        if caller.leaves() || before != (self.endpoints.len(), self.source.is_some()) {
            return Ok(());
        }
        self.wait_for_sockets(&wakers, until)?;
        caller.waker().clear();
        self.check(dial_caller)
    }

    fn arm<'a>(
        &self,
        caller: &dyn DialCaller,
        arm: impl Fn() -> io::Result<BorrowedFd<'a>>,
    ) -> Result<BorrowedFd<'a>> {
        let armed = match arm() {
            Err(error) if self.make_room_once(sys::errno(&error), caller) => arm(),
            armed => armed,
        };
        armed.map_err(|error| shortage(&error))
    }

    fn check(&mut self, caller: &dyn DialCaller) -> Result<()> {
        match caller.ended() {
            Some(error) => Err(error),
            None => {
                if let Some(source) = &self.source {
                    source.retry(clock::now());
                }
                self.poll_source(caller)
            }
        }
    }
}
