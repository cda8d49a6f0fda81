//! The right to open one connection, as a value: whatever goes wrong, dropping it gives the right
//! back.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::callbacks::deferred::DeferredEvent;
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::Conn;
use crate::pool::errors::canceled;
use crate::pool::state::answer::DialRight;
use crate::pool::state::answer::Untold;
use crate::pool::transition::close_conn;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};
use crate::values::event::EventKind;

/// The right to open one connection. Made when the state has answered `Take::Dial`.
#[derive(Debug)]
pub(crate) struct Permit {
    pool: Arc<Pool>,
    right: DialRight,
    destination: Arc<Destination>,
    label: Option<Arc<str>>,
    began: Time,
    has_begun: bool,
    is_in_background: bool,
    is_open: bool,
}

impl Permit {
    pub(crate) fn new(
        pool: Arc<Pool>,
        right: DialRight,
        destination: Arc<Destination>,
        label: Option<Arc<str>>,
    ) -> Self {
        Self {
            pool,
            right,
            destination,
            label,
            began: Time::default(),
            has_begun: false,
            is_in_background: false,
            is_open: true,
        }
    }

    /// A thread of the library goes on with the dial: once the pool has ended, no event is emitted
    /// for it.
    pub(crate) fn goes_to_background(&mut self) {
        self.is_in_background = true;
    }

    /// The dial begins, and counts as one.
    pub(crate) fn begin(&mut self) {
        self.began = self.pool.event_start();
        self.has_begun = true;
        self.pool
            .emit_plain(EventKind::DialStart, &self.destination, self.label());
        self.pool.must_be_ours();
    }

    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or_default()
    }

    pub(crate) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    pub(crate) fn right(&self) -> DialRight {
        self.right
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The dial succeeded: from now on the connection is what counts. Fails if the pool was closed
    /// meanwhile.
    pub(crate) fn used_for(mut self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        self.is_open = false;
        let right = self.right;
        let dialed = self
            .pool
            .change(|state, now, effects| state.dial_done(right, &conn, now, effects));
        match dialed {
            Ok(untold) => {
                self.pool.tell_then(untold.map(FollowUp::Free), || {
                    self.pool.emit_dialed(&conn, self.label(), self.began);
                });
                Ok(conn)
            }
            Err(refusal) => {
                let error = refusal.into();
                close_conn::discard(conn);
                self.emit_failed(&error, None);
                Err(error)
            }
        }
    }

    /// The dial failed; `is_to_blame` is the destination, if others are to know.
    pub(crate) fn failed(mut self, error: &Error, is_to_blame: bool) {
        self.is_open = false;
        let untold = self.end(is_to_blame.then_some(error));
        self.emit_failed(error, untold);
    }

    fn end(&self, blame: Option<&Error>) -> Option<Untold> {
        // A callback has forked, and its dial ends in the child too.
        if self.pool.is_inherited() {
            return None;
        }
        let right = self.right;
        let blame = blame.map(|error| (error, clock::now()));
        self.pool.change(|state, now, effects| {
            if self.has_begun {
                return state.dial_failed(right, blame, now, effects);
            }
            state.give_up(right, now, effects);
            None
        })
    }

    fn emit_failed(&self, error: &Error, untold: Option<Untold>) {
        if !self.pool.is_observed() || !self.has_begun || self.pool.is_inherited() {
            return;
        }
        let destination = &self.destination;
        let error = error.clone().of(format_args!("dial {destination}"));
        let then = untold.map(FollowUp::Free);
        let (label, began) = (self.label(), self.began);
        let end = DeferredEvent::new(
            EventKind::DialFailed,
            destination,
            label,
            began,
            Some(&error),
        );
        if self.is_in_background {
            self.pool.emit_end_in_background(end, then);
        } else {
            self.pool.emit_end(end, then);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_open {
            let untold = self.end(None);
            self.emit_failed(&canceled(), untold);
        }
    }
}
