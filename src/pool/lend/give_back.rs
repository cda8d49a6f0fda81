//! The end of a borrow: a connection is kept, handed to the oldest waiter, or closed.
#![forbid(unsafe_code)]

use crate::handle::{fd_owners, Owned};
use crate::pool::callbacks::Hook;
use crate::pool::conn;
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::loan::LoanInfo;
use crate::pool::conn::Conn;
use crate::pool::lend::hooks::HookVerdict;
use crate::pool::lend::sessions::{refresh_if_replaced, refresh_socket};
use crate::pool::state::answer::{Disposition, Effects};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::DestinationId;
use crate::pool::transition::wake;
use crate::pool::{thread_cache, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::event::EventKind;

/// It may have been the hang-up of a socket that a session's driver has replaced.
fn refresh_if_hung_up(conn: &Owned<Conn>) {
    if conn.is_session() && conn.has(conn::HUNG_UP) && refresh_socket(conn).is_err() {
        conn.mark(conn::FAILED);
    }
}

impl Pool {
    /// The one way back.
    pub(crate) fn give_back(self: &Arc<Self>, conn: Owned<Conn>) {
        refresh_if_hung_up(&conn);
        if !self.asks_on_release(&conn) {
            let disposition = self.disposition_as_told(&conn);
            self.finish_borrow(conn, disposition);
        } else if self.options.on_release_in_background {
            self.release_in_background(conn);
        } else if let Some((conn, disposition)) = self.ask_on_release(conn) {
            self.finish_borrow(conn, disposition);
        }
    }

    /// on_release has a say: nothing else closes it.
    pub(super) fn asks_on_release(&self, conn: &Owned<Conn>) -> bool {
        self.has_hook(Hook::Release)
            && self.disposition(conn) == Disposition::Keep
            && self.may_be_kept(conn)
    }

    /// What becomes of a connection about which on_release has a say. `None`: this is a child.
    pub(super) fn ask_on_release(
        self: &Arc<Self>,
        conn: Owned<Conn>,
    ) -> Option<(Owned<Conn>, Disposition)> {
        // The borrower may have reconnected it: the hook gets the socket that it has, and its time
        // ends that one.
        if refresh_if_replaced(&conn).is_err() {
            return Some((conn, Disposition::Close(CloseCause::Failed)));
        }
        let (conn, verdict) = self.run_own_hook(Hook::Release, conn)?;
        let disposition = self.disposition_after_hook(&conn, verdict);
        Some((conn, disposition))
    }

    /// What becomes of a connection that a hook with a time of its own has looked at.
    pub(crate) fn disposition_after_hook(
        &self,
        conn: &Owned<Conn>,
        verdict: HookVerdict,
    ) -> Disposition {
        refresh_if_hung_up(conn);
        match verdict {
            HookVerdict::Keep => self.disposition_as_told(conn),
            // Whatever the hook's own reads and writes came to.
            HookVerdict::Late | HookVerdict::Refuse => Disposition::Close(CloseCause::Hook),
        }
    }

    /// As `disposition`; a session's driver tells which socket it has now.
    pub(super) fn disposition_as_told(&self, conn: &Owned<Conn>) -> Disposition {
        match self.disposition(conn) {
            Disposition::Keep if refresh_socket(conn).is_err() => {
                Disposition::Close(CloseCause::Failed)
            }
            disposition => disposition,
        }
    }

    pub(super) fn finish_borrow(self: &Arc<Self>, conn: Owned<Conn>, disposition: Disposition) {
        if disposition == Disposition::Keep {
            self.watch(&conn);
            conn.let_go_of_token();
            thread_cache::give_back(&conn);
        }
        self.end_borrow(conn.destination_id(), conn, disposition);
    }

    /// What the state will ask for under its lock, as far as it can be known before.
    fn may_be_kept(&self, conn: &Owned<Conn>) -> bool {
        !self.is_closed()
            && conn.unfit().is_none()
            && conn.retire_at() > clock::now_coarse()
            && !self.locked().is_used_up(conn)
    }

    pub(crate) fn disposition(&self, conn: &Owned<Conn>) -> Disposition {
        let is_own = if conn.is_session() {
            // The number is its driver's affair.
            true
        } else if self.options.verify_release {
            conn.has_own_socket()
        } else {
            fd_owners::is_owner(conn.raw_fd(), conn.slot_id())
        };
        Disposition::Close(if !is_own {
            CloseCause::ForeignFd
        } else if conn.has(conn::DISCARDED | conn::CUT) {
            CloseCause::Discarded
        } else if conn.has(conn::FAILED) {
            CloseCause::Failed
        } else if conn.has(conn::HUNG_UP) {
            CloseCause::PeerClosedAtGiveBack
        } else if conn.is_exhausted() {
            CloseCause::MaxUses
        } else if self.options.verify_release && conn.restore_mode().is_err() {
            // Its own socket, which is closed: the next borrower would find it in another mode.
            CloseCause::Failed
        } else {
            return Disposition::Keep;
        })
    }

    pub(crate) fn end_borrow(
        self: &Arc<Self>,
        id: DestinationId,
        conn: Owned<Conn>,
        disposition: Disposition,
    ) {
        self.end_loan(&conn);
        // One that a waiter gets has not been idle.
        conn.set_idle_since(clock::now_coarse().nanos());
        if self.is_observed() {
            return self.end_observed_borrow(id, conn, disposition);
        }
        self.change(|state, now, effects| state.give_back(id, conn, disposition, now, effects));
    }

    /// RELEASED is told before the connection can be borrowed again.
    fn end_observed_borrow(
        self: &Arc<Self>,
        id: DestinationId,
        conn: Owned<Conn>,
        disposition: Disposition,
    ) {
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let lent = LoanInfo::of(&conn);
        let mut state = self.locked();
        let was_leaked = conn.has(conn::LEAKED);
        let returning = state.begin_give_back(id, conn, disposition, now, &mut effects);
        self.wake_by(state.next_deadline());
        drop(state);
        wake(&mut effects);
        if was_leaked {
            self.emit_returned(EventKind::LeakReturned, &lent);
        }
        if let Some(returning) = returning {
            self.tell_then(Some(FollowUp::GiveBack(returning)), || {
                self.emit_returned(EventKind::Released, &lent);
            });
        }
        self.apply(effects);
    }

    /// A connection that was dialed for nobody is idle from now on, or the oldest waiter's.
    pub(crate) fn settle_in(self: &Arc<Self>, conn: Owned<Conn>) {
        // on_open may have spoilt it, and said that it is well.
        let disposition = self.disposition(&conn);
        self.change(|state, now, effects| {
            state.settle_in(conn.destination_id(), conn, disposition, now, effects)
        });
    }
}
