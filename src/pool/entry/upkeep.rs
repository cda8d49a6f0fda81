//! What the engine does to a pool: it closes what has grown too old, and what its peer has closed
//! or made dirty.
#![forbid(unsafe_code)]

use std::os::fd::BorrowedFd;

use crate::handle::{fd_owners, Kept, Owned, SlotId};
use crate::pool::conn::Conn;
use crate::pool::engine::client::{Client, Handlers};
use crate::pool::engine::poller::Poller;
use crate::pool::engine::Engine;
use crate::pool::runtime::runtime;
use crate::pool::state::answer::{Closed, Effects};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::NOWHERE;
use crate::pool::transition::close_conn;
use crate::pool::{conn, Pool};
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::Arc;
use crate::sys::{clock, epoll, poll, socket};
use crate::values::clock::Time;
use crate::values::options::Liveness;

/// What the engine hands work to.
fn handlers() -> Handlers {
    Handlers {
        on_conn_event,
        helpers: runtime().helpers.clone(),
    }
}

/// epoll has reported events for the connection of that slot number.
fn on_conn_event(poller: &Poller, number: u64, events: u32) {
    let slot = SlotId::from_bits(number);
    let Some(conn) = Conn::table().pin_slot(slot) else {
        return;
    };
    let pool = conn.pool().clone();
    let mut pinned = Some(conn);
    pool.before_end(&mut || {
        let Some(conn) = pinned.take() else {
            return;
        };
        let effects = pool.noticed(poller, &conn, slot, events);
        // Closing waits for every pin, this one too.
        drop(conn);
        pool.apply(effects);
    });
}

impl Client for Pool {
    fn next_deadline(&self) -> Time {
        self.due()
    }

    fn reap(self: Arc<Self>, now: Time) {
        self.before_end(&mut || self.close_expired(now));
    }

    fn is_closed(&self) -> bool {
        Pool::is_closed(self)
    }

    fn within_gate(&self, work: &mut dyn FnMut()) {
        self.gate.within(work);
    }

    fn before_end(&self, work: &mut dyn FnMut()) {
        // The pool's close waits for those inside, and tells what they have left then.
        let was_let_in = self.is_observed() && self.gate.within(&mut *work).is_some();
        if !was_let_in {
            work();
        }
    }
}

impl Pool {
    /// The engine, started if need be; `None` if that is impossible now, or the pool is closed.
    pub(crate) fn engine(self: &Arc<Self>) -> Option<Arc<Engine>> {
        if let Some(engine) = self.engine_if_running() {
            return Some(engine);
        }
        if self.is_closed() {
            return None;
        }
        // Without the lock of its place: starting a thread takes time, and whoever changes the pool
        // asks there for the engine.
        let joined = runtime().engines.join(self.clone(), handlers()).ok()?;
        let mut slot = self.engine.lock();
        if self.is_closed() {
            drop(slot);
            runtime().engines.leave(&**self, joined);
            return None;
        }
        let engine = slot.get_or_insert(joined).clone();
        drop(slot);
        // A thread that armed an earlier time before the engine was there to be seen woke no
        // engine.
        engine.wake_by(self.due());
        Some(engine)
    }

    /// Closes what has grown too old, reports what has leaked, and dials what is short.
    fn close_expired(self: &Arc<Self>, now: Time) {
        let mut effects = Effects::none();
        let mut state = self.locked();
        let reaped = state.reap(now, &mut effects);
        let (leaked, next_leak) = self.find_leaks(&mut state, now);
        let short = state.find_short(now);
        let (checkers, next_check) = state.start_checkers(now);
        let next = reaped.next.min(next_leak).min(next_check);
        let next = next.min(state.next_deadline());
        self.due.store(next.nanos(), SeqCst);
        drop(state);
        self.refill(short);
        self.start_checkers(checkers);
        self.apply(effects);
        self.report_leaks(leaked);
        for id in reaped.retired {
            self.retire(SlotId::from_bits(id));
        }
        for id in reaped.to_arm {
            self.arm(SlotId::from_bits(id));
        }
    }

    fn retire(&self, slot: SlotId) {
        let mut effects = Effects::none();
        if let Some(conn) = Conn::table().pin_slot(slot) {
            let mut state = self.locked();
            state.remove_idle(
                conn.node(),
                slot.to_bits(),
                |_| Some(CloseCause::Lifetime),
                clock::now_coarse(),
                &mut effects,
            );
            self.wake_by(state.next_deadline());
        }
        self.apply(effects);
    }

    pub(crate) fn arm(&self, slot: SlotId) {
        let (Some(conn), Some(engine)) = (Conn::table().pin_slot(slot), self.engine_if_running())
        else {
            return;
        };
        let Some(fd) = conn.fd() else {
            return;
        };
        if conn.is_session() {
            return self.arm_session(&conn, slot, &engine.reactor().poller);
        }
        conn.mark(conn::ARMED);
        let poller = &engine.reactor().poller;
        let armed = poller.arm(fd, conn.is_datagram(), slot.to_bits());
        if armed.is_err() {
            conn.unmark(conn::ARMED | conn::WATCHED);
        }
    }

    /// Under the lock, and only while it is idle: its driver may close the descriptor of one that
    /// is borrowed at any time, and then the number may be another file's.
    fn arm_session(&self, conn: &Conn, slot: SlotId, poller: &Poller) {
        let mut state = self.locked();
        let is_out = state.revoke_one(|| conn.node(), slot.to_bits());
        let Some(fd) = conn.fd().filter(|_| !is_out && conn.node() != NOWHERE) else {
            return;
        };
        conn.mark(conn::ARMED);
        let mut armed = Err(std::io::Error::from_raw_os_error(libc::ENOENT));
        if conn.has_own_socket_at(slot) {
            armed = poller.arm(fd, conn.is_datagram(), slot.to_bits());
        }
        let armed = armed.or_else(|_| conn.watch_replaced(poller, slot));
        if armed.is_err() {
            conn.unmark(conn::ARMED | conn::WATCHED);
        }
    }

    /// The engine saw an event on a connection of this pool.
    fn noticed(
        &self,
        poller: &Poller,
        conn: &Conn,
        slot: SlotId,
        events: u32,
    ) -> Effects<Owned<Conn>> {
        let mut effects = Effects::none();
        let mut state = self.locked();
        // The event may be older than a session's socket: its driver reconnects, and
        // `close_conn::forget_socket` takes this lock.
        // A defect that `tests/simulation` builds in, to see that it is found.
        let is_lost = cfg!(feature = "plant-lost-hang-up") && conn.node() == NOWHERE;
        let is_told = !is_lost && !conn.is_datagram() && has_hung_up(conn, events);
        if is_told && (!conn.is_session() || conn.fd().is_some_and(poll::has_hung_up)) {
            conn.mark(conn::HUNG_UP);
        }
        state.revoke_one(|| conn.node(), slot.to_bits());
        if conn.node() != NOWHERE {
            state.remove_idle(
                conn.node(),
                slot.to_bits(),
                |idle| unfit_while_idle(idle),
                clock::now_coarse(),
                &mut effects,
            );
            self.wake_by(state.next_deadline());
        } else if conn.has(conn::ARMED) && events & epoll::READABLE != 0 {
            // In use: its answers would wake the engine one by one. Under the lock, so that it is
            // not shelved as armed.
            conn.unmark(conn::ARMED);
            let disarm = |fd| poller.disarm(fd, conn.is_datagram(), slot.to_bits());
            let is_own = fd_owners::is_owner(conn.raw_fd(), slot);
            if !is_own || conn.fd().is_none_or(|fd| disarm(fd).is_err()) {
                conn.unmark(conn::WATCHED);
            }
        }
        effects
    }

    /// Applies effects on the engine's thread, where code of the program must not run.
    pub(crate) fn apply_in_background(&self, effects: Effects<Owned<Conn>>) {
        effects.wakes.iter().for_each(|waker| waker.wake());
        for closed in effects.closes {
            let conn = &closed.conn;
            let may_linger = conn.fd().is_some_and(socket::may_linger);
            if self.is_observed() {
                self.close_later(closed);
            } else if conn.has_destructor() || may_linger {
                let close = move || close_conn::close_untold(closed);
                runtime().helpers.notify(Box::new(close));
            } else {
                close_conn::close_untold(closed);
            }
        }
    }

    /// A helper closes it and tells CLOSED, or the pool's close does.
    fn close_later(&self, closed: Closed<Owned<Conn>>) {
        let pool = closed.conn.pool().clone();
        let too_late = self.unclosed.lock().push(closed);
        runtime().helpers.notify(Box::new(move || match too_late {
            Some(closed) => close_conn::close_untold(closed),
            None => pool.close_next(),
        }));
    }

    fn close_next(&self) {
        self.gate.within(|| {
            let next = self.unclosed.lock().pop();
            next.map(close_conn::close)
        });
    }

    /// What no helper has come to.
    pub(crate) fn close_unclosed(&self) {
        let next = || {
            // free_data or on_event may have forked.
            self.must_be_ours();
            self.unclosed.lock().pop_at_end()
        };
        while let Some(closed) = next() {
            close_conn::close(closed);
        }
    }
}

fn has_hung_up(conn: &Conn, events: u32) -> bool {
    if events & epoll::FAILED == 0 {
        return events & epoll::HANG_UP != 0;
    }
    // An error alone may be news in the error queue (zero-copy sends, time stamps), which ends
    // nothing.
    events & epoll::HANG_UP != 0 || !conn.fd().is_some_and(is_alive)
}

fn is_alive(fd: BorrowedFd<'_>) -> bool {
    let peek = socket::peek(fd, false);
    matches!(peek, socket::Peek::Quiet | socket::Peek::Data)
}

fn unfit_while_idle(conn: &Conn) -> Option<CloseCause> {
    if conn.has(conn::HUNG_UP) {
        return Some(CloseCause::PeerClosedWhileIdle);
    }
    if conn.liveness() != Liveness::Strict {
        return None;
    }
    // An event may be older than this idle time, so the socket is asked. It never waits, so it may
    // be asked under the lock.
    match socket::peek(conn.fd()?, conn.is_datagram()) {
        socket::Peek::Quiet => None,
        socket::Peek::Data => Some(CloseCause::DirtyWhileIdle),
        socket::Peek::End | socket::Peek::Failed(_) => Some(CloseCause::PeerClosedWhileIdle),
    }
}
