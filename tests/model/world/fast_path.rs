//! Connections that are borrowed from their shelf and brought back without the state, as
//! `pool::entry::fast_hit` does it, and those who want to know.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use super::conns::{Borrower, Came};
use super::{pick, same, World, Wrong};
use crate::pool::state::answer::Disposition;
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::model::fake::{Facts, Fake};
use crate::values::clock::Time;

/// Each quick return reads an instant of its own from the clock: which of two equally old ones is
/// the older, neither the contract nor the state says, where one of them was put in its place later
/// than it came.
const INSTANT: Duration = Duration::from_nanos(1);

impl World<'_> {
    fn offers_quickly(&self, conn: &Facts) -> bool {
        let timeout = self.rules.keeping.idle_timeout;
        let ends = timeout.map_or(Time::NEVER, |timeout| conn.returned_at().after(timeout));
        conn.can_be_borrowed() && self.now < ends
    }

    pub(super) fn borrow_quickly(&mut self, which: u8) -> Result<(), Wrong> {
        let offers = self.conns.iter().filter(|conn| self.offers_quickly(conn));
        let offers: Vec<Rc<Facts>> = offers.cloned().collect();
        let Some(at) = pick(&offers, which) else {
            return Ok(());
        };
        let conn = offers[at].clone();
        let may_be_borrowed = self.reference.may_be_borrowed(conn.id);
        same("may be borrowed", true, may_be_borrowed)?;
        conn.borrow();
        self.reference.borrow_quickly(conn.id);
        let came = Came::Quickly(self.now);
        self.borrowers.push(Borrower { conn, came });
        // Between the two it may be read by this one's return.
        self.pass(INSTANT);
        self.pass(INSTANT);
        Ok(())
    }

    pub(super) fn return_quickly(
        &mut self,
        who: u8,
        has_data: bool,
        held_up: Duration,
    ) -> Result<(), Wrong> {
        let Some(at) = self.who_came_quickly(who) else {
            return Ok(());
        };
        self.pass(INSTANT);
        let Borrower { conn, came } = &self.borrowers[at];
        let read = self.read_by(came, held_up);
        conn.has_data.set(has_data);
        if conn.give_back_biased(read) {
            let id = conn.id;
            self.borrowers.remove(at);
            self.reference.return_quickly(id, has_data, read);
        } else {
            self.end_borrow(at, Disposition::Keep, has_data, false)?;
        }
        self.pass(INSTANT);
        Ok(())
    }

    fn who_came_quickly(&self, who: u8) -> Option<usize> {
        let came_so = |&at: &usize| matches!(self.borrowers[at].came, Came::Quickly(_));
        let by_fast_path: Vec<usize> = (0..self.borrowers.len()).filter(came_so).collect();
        pick(&by_fast_path, who).map(|at| by_fast_path[at])
    }

    /// As `fast_hit::is_fit` does.
    pub(super) fn find_unfit_quickly(&mut self, who: u8) {
        let Some(at) = self.who_came_quickly(who) else {
            return;
        };
        let conn = self.borrowers.remove(at).conn;
        let was_unseen = self.state.revoke_one(|| conn.node.get(), conn.id);
        let conn = Fake::take_back(&conn);
        let (id, to, cause) = (conn.id, conn.destination_id(), CloseCause::StaleAtBorrow);
        if was_unseen {
            self.state.uncount_reuse();
        }
        self.state
            .reject(to, conn, cause, self.now, &mut self.effects);
        self.reference.find_unfit_quickly(id, cause, was_unseen);
    }

    /// What a borrower has read from the clock, so long ago, but after it had borrowed.
    fn read_by(&self, came: &Came, held_up: Duration) -> Time {
        let &Came::Quickly(borrowed) = came else {
            return self.now;
        };
        let held_up = held_up.as_nanos() as u64;
        let read = Time::from_nanos(self.now.nanos().saturating_sub(held_up));
        read.max(borrowed.after(INSTANT))
    }

    /// As `Pool::counted` does, and as warm does.
    pub(super) fn count(&mut self, to: Option<usize>) -> Result<(), Wrong> {
        if let Some(to) = to {
            let is = self.state.idle_of(&self.destinations[to]);
            let should_be = self.reference.idle_of(to) + self.reference.asked_of(to);
            return same("idle of it", is, should_be);
        }
        self.state.revoke_all_out();
        same("out, and not called in", self.unseen().out, 0)?;
        self.check_nodes()
    }
}
