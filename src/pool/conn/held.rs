//! A connection as its pool's shelves see it: lent out and found again without them (`quick`), counted when they look.
#![forbid(unsafe_code)]

use super::{ARMED, CUT, GONE, HUNG_UP, LEAKED, NONBLOCKING, QUICK, TOLD_TO_THE_POOL, WATCHED};
use crate::handle::{fd_owners, Absence, Owned};
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
        self.place().to_bits()
    }

    fn destination_id(&self) -> u32 {
        self.destination_id
    }

    fn retire_at(&self) -> Time {
        self.retire_at
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
        self.has(WATCHED) && !self.has(ARMED) && self.liveness() == Liveness::Strict
    }

    fn set_node(&self, node: u32) {
        self.set_note(node);
    }

    fn on_removed(&self) {
        self.mark(GONE);
    }

    fn on_returned(&self) {
        self.begin_loan(Loan::default());
        self.unmark(LEAKED);
    }

    fn returned_at(&self) -> Time {
        Time::from_nanos(self.since())
    }

    fn make_idle(&self, now: Time, allow_fast_path: bool) {
        self.set_since(now.nanos());
        self.counted_at.store(self.generation(), Relaxed);
        let is_as_the_pool = self.has(NONBLOCKING) == self.pool.options().nonblocking;
        if allow_fast_path && self.has(QUICK) && is_as_the_pool {
            self.rest();
            let needs_peek = self.liveness() != Liveness::Watch || !self.has(WATCHED);
            self.shelve(self.raw_fd(), needs_peek);
            // Asked now: what `Conn::lost_its_number` noted before this is gone, and what it notes later stays.
            if !fd_owners::is_owner(self.raw_fd(), self.place()) {
                self.has_changed(TOLD_TO_THE_POOL);
            }
        }
    }

    fn checked_out(&self) -> Absence {
        let absence = Owned::look(self, self.counted_at.load(Relaxed));
        self.count(absence)
    }

    fn revoke(&self) -> Absence {
        let absence = Owned::hold(self, self.counted_at.load(Relaxed));
        self.count(absence)
    }

    fn leave_to_borrower(self) {
        self.forget();
    }
}

impl Owned<Conn> {
    /// It has its slot; nobody has seen it yet.
    pub(crate) fn is_seated(&self) {
        self.seat.store(Owned::seat(self), Relaxed);
        self.set_note(NOWHERE);
    }

    /// Whoever borrows it without the pool finds a borrow that has begun.
    fn rest(&self) {
        let uses = self.uses.load(Relaxed);
        self.begin_borrow(true);
        self.uses.store(uses, Relaxed);
    }

    /// Each loan is told once.
    fn count(&self, absence: Absence) -> Absence {
        let counted = self.counted_at.load(Relaxed);
        self.counted_at
            .store(counted.wrapping_add(absence.lends), Relaxed);
        let uses = self.uses.load(Relaxed).saturating_add(absence.lends);
        self.uses.store(uses, Relaxed);
        absence
    }
}
