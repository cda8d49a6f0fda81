//! Borrowing and bringing back without the pool's state: to the contract the same as by it, and
//! done by the same rules here.
#![forbid(unsafe_code)]

use super::{Conn, Reference, SlotId};
use crate::pool::state::answer::Disposition;
use crate::pool::state::counters::CloseCause;
use crate::values::clock::Time;

impl Reference {
    /// Whether that idle one may be handed out: "idle age is checked at borrow", and a closed pool
    /// hands out nothing.
    pub(in super::super) fn may_be_borrowed(&self, id: u64) -> bool {
        let mut idle = self.conns.iter().filter(|conn| conn.is_idle());
        let conn = idle.find(|conn| conn.id == id);
        !self.is_closed && conn.is_some_and(|conn| self.idle_timeout(conn).is_none())
    }

    /// Any of a destination's: the contract promises an order of reuse to one borrower after the
    /// other, not to threads among each other, and each takes the one that it has brought back
    /// last.
    pub(in super::super) fn borrow_quickly(&mut self, id: u64) {
        self.find(id).place = SlotId::Borrowed;
        self.serve();
        self.is_reused(id);
    }

    /// An ordinary give-back, at the time that its borrower has read a moment ago. Only its place
    /// among those who wait on the shelf for the next borrower stays: the contract does not say by
    /// which of two returns "last in" goes.
    pub(in super::super) fn return_quickly(&mut self, id: u64, has_data: bool, read: Time) {
        let at = self.position(id);
        self.give_back(id, Disposition::Keep, has_data);
        if self.find(id).is_idle() {
            let now = self.position(id);
            let conn = self.conns.remove(now);
            let place = SlotId::Idle { since: read };
            self.conns.insert(at, Conn { place, ..conn });
        }
    }

    /// To the contract it was never handed out, unless somebody has counted it meanwhile: counters
    /// never fall.
    pub(in super::super) fn find_unfit_quickly(
        &mut self,
        id: u64,
        cause: CloseCause,
        was_unseen: bool,
    ) {
        self.counters.reuses -= u64::from(was_unseen);
        self.reject(id, cause);
    }

    fn position(&self, id: u64) -> usize {
        let at = self.conns.iter().position(|conn| conn.id == id);
        at.expect("the pool counts it")
    }
}
