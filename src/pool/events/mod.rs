//! Telling the program what happens: after the change, on the thread that made it, without any
//! lock.
#![forbid(unsafe_code)]

pub(crate) mod tell;

use std::time::Duration;

use crate::pool::callbacks::deferred::DeferredEvent;
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::loan::{Loan, LoanInfo};
use crate::pool::conn::Conn;
use crate::pool::engine::Engine;
use crate::pool::runtime::runtime;
use crate::pool::state::counters::CloseCause;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::event::{CloseReason, Event, EventKind};

/// What a connection's closing is called outside.
pub(crate) fn reason(cause: CloseCause) -> CloseReason {
    match cause {
        CloseCause::StaleAtBorrow
        | CloseCause::PeerClosedWhileIdle
        | CloseCause::PeerClosedAtGiveBack => CloseReason::PeerClosed,
        CloseCause::DirtyAtBorrow | CloseCause::DirtyWhileIdle => CloseReason::Dirty,
        CloseCause::IdleTimeout => CloseReason::IdleTimeout,
        CloseCause::Lifetime => CloseReason::Lifetime,
        CloseCause::MaxUses => CloseReason::MaxUses,
        CloseCause::IdleFull => CloseReason::IdleFull,
        CloseCause::Evicted => CloseReason::Evicted,
        CloseCause::Discarded => CloseReason::Discarded,
        CloseCause::Failed => CloseReason::Failed,
        CloseCause::Hook => CloseReason::Hook,
        CloseCause::ForeignFd => CloseReason::ForeignFd,
        CloseCause::PoolClosed | CloseCause::PoolClosedWhileIdle => CloseReason::PoolClosed,
    }
}

impl Pool {
    /// Somebody listens, so that what an event tells must be known.
    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// The time, where an event will tell how long something took.
    pub(in crate::pool) fn event_start(&self) -> Time {
        if self.is_observed() {
            clock::now()
        } else {
            Time::default()
        }
    }

    pub(in crate::pool) fn emit(&self, event: Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.on_event(&event);
        }
    }

    pub(in crate::pool) fn emit_plain(
        &self,
        kind: EventKind,
        destination: &Destination,
        label: &str,
    ) {
        self.emit(Event::new(kind, destination, label));
    }

    /// Emits the end of a dial or a wait, which frees what `then` says. The engine's thread, where
    /// no code of the program may run, leaves both to a helper.
    pub(in crate::pool) fn emit_end(self: &Arc<Self>, end: DeferredEvent, then: Option<FollowUp>) {
        if Engine::is_this_thread() {
            self.defer(end, then);
        } else {
            self.tell_then(then, || self.emit(end.event()));
        }
    }

    /// As `emit_end`, on a thread of the library: after the pool's end no event is emitted.
    pub(in crate::pool) fn emit_end_in_background(
        self: &Arc<Self>,
        end: DeferredEvent,
        then: Option<FollowUp>,
    ) {
        if Engine::is_this_thread() {
            self.gate.within(|| self.defer(end, then));
        } else {
            self.tell_then(then, || {
                self.gate.within(|| self.emit(end.event()));
            });
        }
    }

    fn defer(self: &Arc<Self>, end: DeferredEvent, then: Option<FollowUp>) {
        self.deferred.lock().push_back((end, then));
        let pool = Arc::downgrade(self);
        let job = move || {
            if let Some(pool) = pool.upgrade() {
                pool.gate.within(|| pool.emit_deferred());
            }
        };
        runtime().helpers.notify(Box::new(job));
    }

    /// What no helper has come to.
    pub(in crate::pool) fn emit_deferred(self: &Arc<Self>) {
        while let Some((end, then)) = self.next_deferred() {
            self.tell_then(then, || self.emit(end.event()));
        }
    }

    fn next_deferred(&self) -> Option<(DeferredEvent, Option<FollowUp>)> {
        // on_event may have forked.
        self.must_be_ours();
        self.deferred.lock().pop_front()
    }

    pub(in crate::pool) fn emit_reused(&self, conn: &Conn, label: &str) {
        if self.is_observed() {
            self.emit(Event {
                fd: Some(conn.raw_fd()),
                remote: conn.remote(),
                ..Event::new(EventKind::Reused, conn.destination(), label)
            });
        }
    }

    /// A connection has come back.
    pub(in crate::pool) fn emit_returned(&self, kind: EventKind, lent: &LoanInfo) {
        self.emit(Event {
            fd: Some(lent.fd),
            remote: lent.remote.as_deref(),
            duration: on_loan(&lent.loan),
            ..Event::new(kind, &lent.destination, lent.loan.label())
        });
    }

    /// Before the descriptor is closed: it still is what it was.
    pub(in crate::pool) fn emit_closed(&self, conn: &Conn, cause: CloseCause) {
        if self.is_observed() {
            let loan = conn.loan();
            self.emit(Event {
                fd: Some(conn.raw_fd()),
                remote: conn.remote(),
                duration: on_loan(&loan),
                reason: reason(cause),
                ..Event::new(EventKind::Closed, conn.destination(), loan.label())
            });
        }
    }

    pub(in crate::pool) fn emit_dialed(&self, conn: &Conn, label: &str, began: Time) {
        if self.is_observed() {
            self.emit(Event {
                duration: clock::now().since(began),
                fd: Some(conn.raw_fd()),
                remote: conn.remote(),
                ..Event::new(EventKind::DialDone, conn.destination(), label)
            });
        }
    }
}

fn on_loan(loan: &Loan) -> Duration {
    if loan.since == Time::default() {
        return Duration::ZERO;
    }
    clock::now().since(loan.since)
}
