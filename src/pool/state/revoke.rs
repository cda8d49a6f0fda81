//! What stands on a shelf and was borrowed from there without the state: looked for wherever the difference matters.
//!
//! Such a connection counts as idle here, and against every limit, until one of these finds that it is out: then it is borrowed as any
//! other, and comes back by `give_back`. Each finds out by one look at the connection's own word, which is also what
//! decides who was first. So whoever is about to wait, to close, to count or to refuse has the truth, and a hit asks nobody.
#![forbid(unsafe_code)]

use super::held::Held;
use super::{DestinationId, State};

impl<C: Held> State<C> {
    /// From now on that one is not borrowed without the state; false if its borrower has it already, and it stands on no shelf any more.
    pub(super) fn hold(&mut self, node: u32, id: DestinationId) -> bool {
        let Some(held) = self.shelves.held(node) else {
            return false;
        };
        let absence = held.hold();
        self.tally(absence.lends);
        if !absence.is_out {
            return true;
        }
        if let Some((conn, _)) = self.remove(node, id) {
            conn.let_go();
        }
        self.counters.releases -= 1;
        self.begin_borrow(id);
        self.refresh(id);
        false
    }

    /// Loans that ended where they began, but for the last, if it is out: `hold` takes that back.
    fn tally(&mut self, lends: u32) {
        self.counters.reuses += u64::from(lends);
        self.counters.releases += u64::from(lends);
    }

    /// Whatever is out is borrowed from now on.
    pub(super) fn call_in(&mut self, id: DestinationId) {
        for node in self.nodes_of(id) {
            self.is_out(node, id);
        }
    }

    /// If so, it is borrowed from now on.
    pub(super) fn is_out(&mut self, node: u32, id: DestinationId) -> bool {
        let absence = self.shelves.held(node).map(Held::look).unwrap_or_default();
        self.tally(absence.lends);
        absence.is_out && !self.hold(node, id)
    }

    /// The same everywhere: the numbers are exact then.
    pub(crate) fn call_in_all(&mut self) {
        self.call_in_until(|_| false);
    }

    /// The same, until it is `enough`.
    pub(super) fn call_in_until(&mut self, enough: impl Fn(&Self) -> bool) {
        for node in 0..self.shelves.places() {
            if let Some(id) = self.shelves.held(node).map(Held::destination_id) {
                self.is_out(node, id);
                if enough(self) {
                    return;
                }
            }
        }
    }

    /// How many are out, and stay so.
    pub(super) fn look_for_out(&mut self) -> u32 {
        let mut out = 0;
        for node in 0..self.shelves.places() {
            let absence = self.shelves.held(node).map(Held::look).unwrap_or_default();
            self.tally(absence.lends);
            out += u32::from(absence.is_out);
        }
        out
    }

    /// Nothing of that destination is borrowed without the state until it is shelved anew.
    pub(super) fn hold_all_of(&mut self, id: DestinationId) {
        for node in self.nodes_of(id) {
            self.hold(node, id);
        }
    }

    /// The same everywhere.
    pub(crate) fn hold_all(&mut self) {
        for node in 0..self.shelves.places() {
            if let Some(id) = self.shelves.held(node).map(Held::destination_id) {
                self.hold(node, id);
            }
        }
    }

    pub(super) fn nodes_of(&self, id: DestinationId) -> Vec<u32> {
        let entry = self.known(Some(id));
        entry.map_or_else(Vec::new, |entry| self.shelves.nodes_of(&entry.shelf))
    }

    /// The one in that node, found by its number, is borrowed from now on if it is out; whether it was. The node is read here, under the
    /// lock: whoever gave it back may not have put it there yet when it is borrowed anew.
    pub(crate) fn call_in_one(&mut self, node: impl FnOnce() -> u32, conn: u64) -> bool {
        let node = node();
        let id = self.shelves.destination_of(node, conn);
        id.is_some_and(|id| !self.hold(node, id))
    }

    /// The longest idle connection that is there to be closed, but for those of `except`.
    pub(super) fn oldest_idle(
        &mut self,
        except: Option<DestinationId>,
    ) -> Option<(u32, DestinationId)> {
        loop {
            let (node, id) = self.shelves.oldest_not_of(except)?;
            if self.hold(node, id) {
                return Some((node, id));
            }
        }
    }
}
