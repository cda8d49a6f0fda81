//! Revocation: the fast path borrows idle connections without the state, and the state takes that
//! permission back one by one where the difference matters.
//!
//! This is biased borrowing, as the JVM's biased locks. A connection that the fast path has lent
//! counts as idle here, and against every limit, until a revocation finds it out. From then on it
//! is borrowed like any other, and comes back by `give_back`. The one exchange of the connection's
//! word that revokes it also decides who was first. So a caller that waits, closes, counts or is
//! refused has the truth, and a hit asks nobody.
#![forbid(unsafe_code)]

use super::held::Held;
use super::{DestinationId, State};
use crate::values::options::ReuseOrder;

impl<C: Held> State<C> {
    /// Takes the fast path's permission to that node away. False if the connection is out: it has
    /// left the idle list and counts as borrowed.
    pub(super) fn revoke(&mut self, node: u32, id: DestinationId) -> bool {
        let Some(held) = self.idle.held(node) else {
            return false;
        };
        let checked_out = held.revoke();
        self.count_loans(checked_out.loans);
        if !checked_out.is_out {
            return true;
        }
        if let Some((conn, _)) = self.remove(node, id) {
            conn.leave_to_borrower();
        }
        // Counted by `count_loans` for a loan that has not ended.
        self.counters.releases -= 1;
        self.begin_borrow(id);
        self.refresh(id);
        false
    }

    /// Counts loans of the fast path as ended, the last one too even if it is still out.
    pub(super) fn count_loans(&mut self, loans: u32) {
        self.counters.reuses += u64::from(loans);
        self.counters.releases += u64::from(loans);
    }

    /// Revokes a connection only if it is out; true if it was. An idle one keeps its fast path.
    pub(super) fn revoke_if_out(&mut self, node: u32, id: DestinationId) -> bool {
        let held = self.idle.held(node);
        let checked_out = held.map(Held::checked_out).unwrap_or_default();
        self.count_loans(checked_out.loans);
        checked_out.is_out && !self.revoke(node, id)
    }

    /// Revokes what is out of one destination.
    pub(super) fn revoke_out_of(&mut self, id: DestinationId) {
        let mut next = self.newest_of(id);
        while let Some(node) = next {
            next = self.idle.next_on_shelf(node, ReuseOrder::Lifo);
            self.revoke_if_out(node, id);
        }
    }

    /// Revokes everything that is out: the numbers are exact then.
    pub(crate) fn revoke_all_out(&mut self) {
        self.revoke_out_until(|_| false);
    }

    /// Revokes what is out, one after another, until that is `enough`.
    pub(super) fn revoke_out_until(&mut self, enough: impl Fn(&Self) -> bool) {
        for node in 0..self.idle.places() {
            if let Some(id) = self.idle.held(node).map(Held::destination_id) {
                self.revoke_if_out(node, id);
                if enough(self) {
                    return;
                }
            }
        }
    }

    /// Revokes everything of one destination, idle or out.
    pub(super) fn revoke_all_of(&mut self, id: DestinationId) {
        let mut next = self.newest_of(id);
        while let Some(node) = next {
            next = self.idle.next_on_shelf(node, ReuseOrder::Lifo);
            self.revoke(node, id);
        }
    }

    /// Revokes everything, idle or out.
    pub(crate) fn revoke_all(&mut self) {
        for node in 0..self.idle.places() {
            if let Some(id) = self.idle.held(node).map(Held::destination_id) {
                self.revoke(node, id);
            }
        }
    }

    fn newest_of(&self, id: DestinationId) -> Option<u32> {
        self.known(Some(id))?.shelf.first(ReuseOrder::Lifo)
    }

    /// Revokes the connection `conn` if it still stands in that node; true if it was out. `node` is
    /// read here, under the lock: a connection that is borrowed again at once may not have had
    /// its node when the caller looked.
    pub(crate) fn revoke_one(&mut self, node: impl FnOnce() -> u32, conn: u64) -> bool {
        let node = node();
        let id = self.idle.destination_of(node, conn);
        id.is_some_and(|id| !self.revoke(node, id))
    }

    /// Revokes and returns the longest idle connection that is really idle, but for those of
    /// `except`.
    pub(super) fn revoke_oldest_idle(
        &mut self,
        except: Option<DestinationId>,
    ) -> Option<(u32, DestinationId)> {
        loop {
            let (node, id) = self.idle.oldest_not_of(except)?;
            if self.revoke(node, id) {
                return Some((node, id));
            }
        }
    }
}
