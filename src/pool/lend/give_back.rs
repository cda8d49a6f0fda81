//! The end of a borrow: a connection is kept, handed to the oldest waiter, or closed.
#![forbid(unsafe_code)]

use crate::handle::{owners, Owned};
use crate::pool::callbacks::Hook;
use crate::pool::conn;
use crate::pool::conn::loan::Lent;
use crate::pool::conn::Conn;
use crate::pool::state::answer::{Effects, Fate};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::DestinationId;
use crate::pool::transition::wake;
use crate::pool::{hints, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::event::Kind as EventKind;

impl Pool {
    /// The one way back.
    pub(crate) fn give_back(self: &Arc<Self>, mut conn: Owned<Conn>) {
        let mut fate = self.fate(&conn);
        if fate == Fate::Keep && self.has_hook(Hook::Release) && self.may_be_kept(&conn) {
            let Some((back, is_kept)) = self.run_on_release(conn) else {
                return;
            };
            conn = back;
            fate = match self.fate(&conn) {
                Fate::Keep if !is_kept => Fate::Close(CloseCause::Hook),
                fate => fate,
            };
        }
        if fate == Fate::Keep {
            self.watch(&conn);
            conn.let_go_of_token();
            hints::comes_next(&conn);
        }
        self.end_borrow(conn.destination_id(), conn, fate);
    }

    /// What the state will ask for under its lock, as far as it can be known before.
    fn may_be_kept(&self, conn: &Owned<Conn>) -> bool {
        !self.is_closed() && conn.unfit().is_none() && conn.retire_at() > clock::now_coarse()
    }

    pub(crate) fn fate(&self, conn: &Owned<Conn>) -> Fate {
        let is_foreign = !owners::is_owner(conn.raw_fd(), conn.place())
            || (self.options.verify_release && !conn.is_still_its_socket());
        Fate::Close(if is_foreign {
            CloseCause::ForeignFd
        } else if conn.has(conn::DISCARDED | conn::CUT) {
            CloseCause::Discarded
        } else if conn.has(conn::FAILED) {
            CloseCause::Failed
        } else if conn.has(conn::HUNG_UP) {
            CloseCause::PeerClosedAtGiveBack
        } else if conn.is_worn() {
            CloseCause::MaxUses
        } else {
            return Fate::Keep;
        })
    }

    pub(crate) fn end_borrow(&self, id: DestinationId, conn: Owned<Conn>, fate: Fate) {
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let lent = self.is_observed().then(|| Lent::of(&conn));
        let mut state = self.locked();
        let was_leaked = conn.has(conn::LEAKED);
        let is_kept = state.give_back(id, conn, fate, now, &mut effects);
        self.look_by(state.next_look());
        drop(state);
        wake(&mut effects);
        if let Some(lent) = lent {
            if was_leaked {
                self.tell_back(EventKind::LeakReturned, &lent);
            }
            if is_kept {
                self.tell_back(EventKind::Released, &lent);
            }
        }
        self.apply(effects);
    }

    /// A connection that was dialed for nobody is idle from now on, or the oldest waiter's.
    pub(crate) fn settle_in(self: &Arc<Self>, conn: Owned<Conn>) {
        // on_open may have spoilt it, and said that it is well.
        let fate = self.fate(&conn);
        self.change(|state, now, effects| {
            state.settle_in(conn.destination_id(), conn, fate, now, effects)
        });
    }
}
