//! A dial or open_session callback, for a dial that no thread sleeps on.
//!
//! It runs on the helper thread that has begun the dial, after the dial itself has gone to sleep.
//! So the engine answers the dial at its deadline, by its token, and with a connection that is
//! given back meanwhile, as it does while sockets connect. A dial that has ended leaves its permit
//! here: what is opened counts against every limit until the callback has returned, and is kept or
//! ended then, once. The pool's close waits for dial, and not for open_session.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::dial::caller::DialCaller;
use crate::dial::drive::connected::Dialed;
use crate::dial::drive::run::{self, BegunDial};
use crate::pool::conn::Conn;
use crate::pool::dialing::Dialing;
use crate::pool::state::answer::Refusal;
use crate::pool::Pool;
use crate::sync::{Arc, Mutex};
use crate::sys::wake::{CancelToken, Wake};
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::{Error, Phase, Result};

/// How far the callback is.
#[derive(Debug)]
pub(crate) struct Opening(Mutex<OpeningState>);

#[derive(Debug)]
enum OpeningState {
    /// It runs.
    Running,
    /// It runs, for a dial that has ended.
    Left(Box<Dialing>),
    Returned(Result<Dialed>),
    /// What it has returned was fetched.
    Over,
}

/// A dial that has ended, and what the callback has returned for it.
pub(crate) type LeftOpening = (Box<Dialing>, Result<Dialed>);

impl Opening {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(OpeningState::Running)))
    }

    pub(crate) fn has_returned(&self) -> bool {
        matches!(*self.0.lock(), OpeningState::Returned(_))
    }

    /// What the callback has returned, if it has.
    pub(crate) fn fetch(&self) -> Option<Result<Dialed>> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, OpeningState::Over) {
            OpeningState::Returned(result) => Some(result),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The dial has ended: it is finished when the callback returns. If that has returned, the
    /// caller is to finish it, on a thread that may run code of the program.
    pub(crate) fn leave(&self, mut dialing: Box<Dialing>) -> Option<LeftOpening> {
        dialing.orphan();
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, OpeningState::Over) {
            OpeningState::Returned(result) => Some((dialing, result)),
            _ => {
                *state = OpeningState::Left(dialing);
                None
            }
        }
    }

    fn set_returned(&self, result: Result<Dialed>) -> Option<LeftOpening> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, OpeningState::Over) {
            OpeningState::Left(dialing) => Some((dialing, result)),
            _ => {
                *state = OpeningState::Returned(result);
                None
            }
        }
    }
}

/// Keeps the connection for the next borrower, or ends it.
pub(crate) fn finish((dialing, result): LeftOpening) {
    let pool = dialing.pool().clone();
    match result {
        Ok(dialed) => {
            if let Ok(conn) = dialing.connected(dialed) {
                pool.settle_in(conn);
            }
        }
        Err(error) => drop(dialing.failed(error)),
    }
}

/// What the callback is asked with, apart from the dial, which may end before.
pub(crate) struct OpeningCall {
    pub(crate) pool: Arc<Pool>,
    pub(crate) destination: Arc<Destination>,
    pub(crate) deadline: Deadline,
    pub(crate) token: Option<Arc<CancelToken>>,
    pub(crate) label: Option<Arc<str>>,
    /// The dial's task.
    pub(crate) waker: Arc<dyn Wake>,
}

impl OpeningCall {
    /// Runs the callback, and rewrite before it. On a helper thread, inside the pool's gate.
    pub(crate) fn run(self, opening: &Opening) {
        let dialer = &self.pool.dialer;
        let begun = run::begin(&self.destination, dialer, self.deadline, &self);
        // A callback has forked, and this is the child: the dial is its parent's.
        if self.pool.is_inherited() {
            return;
        }
        let opened = begun.map(|begun| match begun {
            BegunDial::Connected(dialed) => dialed,
            BegunDial::Begun(_) => unreachable!("a callback that dials connects or refuses"),
        });
        match opening.set_returned(opened) {
            Some(left) => finish(left),
            None => self.waker.wake(),
        }
    }
}

impl Pool {
    /// What a dial by callback was doing when its time was over.
    pub(crate) fn callback_phase(&self) -> Phase {
        match self.opens_sessions() {
            true => Phase::Opening,
            false => Phase::Connecting,
        }
    }
}

impl DialCaller for OpeningCall {
    fn ended(&self) -> Option<Error> {
        self.pool.why_dial_ends(self.token.as_deref())
    }

    fn shared_waker(&self) -> Arc<dyn Wake> {
        self.waker.clone()
    }

    fn label(&self) -> &str {
        self.label.as_deref().unwrap_or_default()
    }

    fn is_pooled(&self, number: RawFd) -> bool {
        Conn::owner_of(number).is_some()
    }

    fn run_open_session(&self, open: &mut dyn FnMut()) -> Result<()> {
        match self.ended() {
            Some(error) => Err(error),
            None => self
                .pool
                .gate
                .outside(open)
                .ok_or_else(|| Refusal::PoolClosed.into()),
        }
    }

    fn make_room(&self) -> bool {
        self.pool.close_longest_idle()
    }
}
