//! A connection as the pool's state holds it: borrowed and given back without the state by the fast
//! path, and counted when the state looks.
#![forbid(unsafe_code)]

use super::{ARMED, CUT, FAST_PATH, GONE, HUNG_UP, LEAKED, NONBLOCKING, TOLD_TO_THE_POOL, WATCHED};
use crate::handle::{fd_owners, CheckedOut, Owned, SlotInfo};
use crate::pool::conn::loan::Loan;
use crate::pool::conn::Conn;
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::{Held, NOWHERE};
use crate::sync::atomic::Ordering::{Acquire, Relaxed};
use crate::sync::Arc;
use crate::sys::wake::Wake;
use crate::values::clock::Time;
use crate::values::options::Liveness;

impl Held for Owned<Conn> {
    type Waker = Arc<dyn Wake>;

    fn id(&self) -> u64 {
        self.slot_id().to_bits()
    }

    fn destination_id(&self) -> u32 {
        self.destination_id
    }

    fn retire_at(&self) -> Time {
        self.lifetime_ends_at()
    }

    fn uses(&self) -> u32 {
        self.uses.load(Acquire)
    }

    fn eviction_epoch(&self) -> u32 {
        self.eviction_epoch.load(Relaxed)
    }

    fn set_eviction_epoch(&self, epoch: u32) {
        self.eviction_epoch.store(epoch, Relaxed);
    }

    fn unfit(&self) -> Option<CloseCause> {
        if self.has(HUNG_UP) {
            Some(CloseCause::PeerClosedAtGiveBack)
        } else if self.has(CUT) {
            Some(CloseCause::Discarded)
        } else {
            None
        }
    }

    fn wants_arming(&self) -> bool {
        self.is_unarmed()
    }

    fn set_node(&self, node: u32) {
        self.set_owner_data(node);
    }

    fn on_removed(&self) {
        self.mark(GONE);
    }

    fn on_returned(&self) {
        self.begin_loan(Loan::default());
        self.unmark(LEAKED);
    }

    fn returned_at(&self) -> Time {
        Time::from_nanos(self.idle_since())
    }

    fn make_idle(&self, now: Time, allow_fast_path: bool) {
        self.set_idle_since(now.nanos());
        self.counted_at.store(self.generation(), Relaxed);
        let is_as_the_pool =
            self.is_session() || self.has(NONBLOCKING) == self.pool.options().nonblocking;
        if allow_fast_path && self.has(FAST_PATH) && is_as_the_pool && self.allows_fast_path() {
            self.begin_next_borrow();
            let needs_peek = self.liveness() != Liveness::Watch || !self.has(WATCHED);
            self.bias(SlotInfo {
                fd: self.lent_fd(),
                needs_peek: needs_peek && self.raw_fd() >= 0,
                asks_at_return: self.session_fd().is_some(),
            });
            // Asked now: what `Conn::lost_its_number` noted before this is gone, and what it notes
            // later stays.
            if self.raw_fd() >= 0 && !fd_owners::is_owner(self.raw_fd(), self.slot_id()) {
                self.has_changed(TOLD_TO_THE_POOL);
            }
        }
    }

    fn checked_out(&self) -> CheckedOut {
        let checked_out = Owned::checked_out_since(self, self.counted_at.load(Relaxed));
        self.count(checked_out)
    }

    fn revoke(&self) -> CheckedOut {
        let checked_out = Owned::revoke_since(self, self.counted_at.load(Relaxed));
        self.count(checked_out)
    }

    fn leave_to_borrower(self) {
        self.forget();
    }
}

impl Conn {
    /// Its watch does not report unread bytes, and should.
    pub(crate) fn is_unarmed(&self) -> bool {
        self.has(WATCHED) && !self.has(ARMED) && self.liveness() == Liveness::Strict
    }
}

impl Owned<Conn> {
    /// Tells a connection that nobody has seen yet which slot it has.
    pub(crate) fn set_slot_index(&self) {
        self.slot_index.store(self.slot_id().index(), Relaxed);
        self.set_owner_data(NOWHERE);
    }

    /// Begins the borrow of the thread that will borrow it without the pool.
    fn begin_next_borrow(&self) {
        let uses = self.uses.load(Relaxed);
        self.begin_borrow(true);
        self.uses.store(uses, Relaxed);
    }

    /// on_idle is asked about it, which is no borrow.
    pub(crate) fn begin_check(&self, now: u64) {
        self.note_idle_before(now);
        self.begin_next_borrow();
    }

    /// Counts each loan once.
    fn count(&self, checked_out: CheckedOut) -> CheckedOut {
        let counted = self.counted_at.load(Relaxed);
        self.counted_at
            .store(counted.wrapping_add(checked_out.loans), Relaxed);
        let uses = self.uses.load(Relaxed).saturating_add(checked_out.loans);
        self.uses.store(uses, Relaxed);
        checked_out
    }
}
