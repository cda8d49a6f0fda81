//! Connections in somebody's hands and on the shelf, and what happens to them from the side.
#![forbid(unsafe_code)]

use std::rc::Rc;

use super::callers::Caller;
use super::{pick, same, World, Wrong};
use crate::pool::state::answer::{Disposition, Forgotten, Refusal};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::{Held, NOWHERE};
use crate::pool::state::model::fake::{Facts, Fake};
use crate::pool::state::model::reference::Reference;
use crate::pool::state::model::steps::Percent;
use crate::values::clock::Time;

#[derive(Debug)]
pub(super) struct Borrower {
    pub(super) conn: Rc<Facts>,
    pub(super) came: Came,
}

/// How a connection came into its borrower's hands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Came {
    Reused(Caller),
    /// Dialed, or got while dialing.
    ForADial,
    DialedAhead,
    ByGet,
    /// From its shelf without the state, at that time.
    Quickly(Time),
}

/// Why a connection of the program was not taken.
#[derive(Debug, PartialEq, Eq)]
enum CannotBePut {
    Unbuilt,
    Refused(Refusal),
}

impl From<Refusal> for CannotBePut {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl World<'_> {
    /// It is its borrower's from now on.
    pub(super) fn lend(&mut self, conn: Fake, came: Came) {
        let conn = conn.lend();
        self.borrowers.push(Borrower { conn, came });
    }

    /// As `ffi::conn` takes one out of its borrower's hands: what came without the state is called
    /// in first.
    pub(super) fn take_back(&mut self, conn: &Rc<Facts>) -> Fake {
        if conn.is_biased() {
            self.state.revoke_one(|| conn.node.get(), conn.id);
        }
        Fake::take_back(conn)
    }

    pub(super) fn give_back(
        &mut self,
        who: u8,
        disposition: Disposition,
        has_data: bool,
        is_disarmed: bool,
    ) -> Result<(), Wrong> {
        let Some(at) = pick(&self.borrowers, who) else {
            return Ok(());
        };
        self.end_borrow(at, disposition, has_data, is_disarmed)
    }

    pub(super) fn end_borrow(
        &mut self,
        at: usize,
        disposition: Disposition,
        has_data: bool,
        is_disarmed: bool,
    ) -> Result<(), Wrong> {
        let Borrower { conn, came } = self.borrowers.remove(at);
        let conn = self.take_back(&conn);
        let (id, to) = (conn.id, conn.destination_id());
        match came {
            Came::ByGet => {
                // It turned out to be unfit.
                let cause = CloseCause::StaleAtBorrow;
                self.state
                    .reject(to, conn, cause, self.now, &mut self.effects);
                self.reference.reject(id, cause);
                Ok(())
            }
            Came::DialedAhead => {
                let is = self
                    .state
                    .settle_in(to, conn, disposition, self.now, &mut self.effects);
                same("it is kept", is, self.reference.settle_in(id, disposition))
            }
            Came::Reused(_) | Came::ForADial | Came::Quickly(_) => {
                conn.has_data.set(has_data);
                conn.is_armed.set(conn.is_armed.get() && !is_disarmed);
                self.give_back_told(to, conn, disposition);
                self.reference.give_back(id, disposition, has_data);
                Ok(())
            }
        }
    }

    fn give_back_told(&mut self, to: u32, conn: Fake, disposition: Disposition) {
        let Self {
            state,
            now,
            effects,
            ..
        } = self;
        if self.rules.is_observed {
            let returning = state.begin_give_back(to, conn, disposition, *now, effects);
            if let Some(returning) = returning {
                state.finish_give_back(returning, *now, effects);
            }
        } else {
            state.give_back(to, conn, disposition, *now, effects);
        }
    }

    pub(super) fn forget(&mut self, who: u8) -> Result<(), Wrong> {
        if let Some(at) = pick(&self.borrowers, who) {
            let Borrower { conn, came } = self.borrowers.remove(at);
            let conn = self.take_back(&conn);
            let how = match came {
                Came::ByGet => Forgotten::Got,
                _ => Forgotten::Detached,
            };
            let to = conn.destination_id();
            self.state
                .forget(to, &conn, how, self.now, &mut self.effects);
            self.reference.forget(conn.id, how);
        }
        Ok(())
    }

    /// The watch (as `Pool::noticed`) or `abort` marks one that is in somebody's hands, or on its
    /// way there.
    pub(super) fn mark(&mut self, who: u8, cause: CloseCause) {
        let borrowed = self.borrowed_ids(|_| true);
        if let Some(at) = pick(&borrowed, who) {
            let conn = self.mark_unfit(borrowed[at], cause);
            if cause == CloseCause::PeerClosedAtGiveBack {
                self.state.revoke_one(|| conn.node.get(), conn.id);
            }
        }
    }

    fn borrowed_ids(&self, which: impl Fn(usize) -> bool) -> Vec<u64> {
        let conns = self.reference.conns.iter();
        conns
            .filter(|conn| conn.is_borrowed() && which(conn.to))
            .map(|conn| conn.id)
            .collect()
    }

    fn facts(&self, id: u64) -> Rc<Facts> {
        let known = self.conns.iter().find(|conn| conn.id == id);
        known.expect("the pool counts it").clone()
    }

    fn mark_unfit(&mut self, id: u64, cause: CloseCause) -> Rc<Facts> {
        let conn = self.facts(id);
        conn.mark_unfit(cause);
        self.reference.mark_unfit(id, cause);
        conn
    }

    pub(super) fn put(
        &mut self,
        to: usize,
        percent: Percent,
        can_be_built: bool,
    ) -> Result<(), Wrong> {
        let id = self.reference.next_id();
        let retire_at = self.lifetime(percent);
        let has_fast_path = self.rules.are_plain();
        let mut facts = None;
        let build = |destination_id, _| {
            if can_be_built {
                let conn = Fake::new(id, destination_id, retire_at, has_fast_path);
                facts = Some(conn.facts().clone());
                Ok(conn)
            } else {
                Err(CannotBePut::Unbuilt)
            }
        };
        self.reserve_one();
        let is = self
            .state
            .admit(&self.destinations[to], build, self.now, &mut self.effects)
            .map_err(|(_, why)| why);
        if matches!(is, Err(CannotBePut::Unbuilt)) {
            return Ok(());
        }
        let should_be = self.reference.put(id, to, retire_at);
        if is.is_ok() {
            self.conns.extend(facts);
        }
        same("put", is, should_be.map_err(CannotBePut::Refused))
    }

    pub(super) fn get(&mut self, to: usize) -> Result<(), Wrong> {
        let no_data = |conn: &Fake| !conn.has_data.get();
        let destination = &self.destinations[to];
        let got = self
            .state
            .take_idle(destination, no_data, self.now, &mut self.effects);
        let is = got.as_ref().map(|conn| conn.id);
        same("got", is, self.reference.get(to))?;
        if let Some(conn) = got {
            self.lend(conn, Came::ByGet);
        }
        Ok(())
    }

    /// An idle one's node, found as the engine finds it.
    pub(in super::super) fn node_of(&self, id: u64) -> Option<u32> {
        self.state.entries.iter().flatten().find_map(|entry| {
            let order = self.rules.keeping.reuse_order;
            self.state
                .idle
                .find(&entry.shelf, order, |conn| conn.id == id)
        })
    }

    /// The watch looks at one that is idle.
    pub(super) fn notice(&mut self, which: u8, found: Option<CloseCause>) -> Result<(), Wrong> {
        let idle = self.reference.conns.iter().filter(|conn| conn.is_idle());
        let idle: Vec<u64> = idle.map(|conn| conn.id).collect();
        let Some(at) = pick(&idle, which) else {
            return Ok(());
        };
        let id = idle[at];
        let node = self
            .node_of(id)
            .ok_or("an idle connection is on no shelf")?;
        self.state.revoke_one(|| node, id);
        self.state
            .remove_idle(node, id, |_| found, self.now, &mut self.effects);
        if let Some(cause) = found {
            self.reference.remove_idle(id, cause);
        }
        Ok(())
    }

    /// A node that is free by now, or another's.
    pub(super) fn notice_late(&mut self, which: u8) -> Result<(), Wrong> {
        if let Some(at) = pick(&self.borrowers, which) {
            let id = self.borrowers[at].conn.id;
            let cause = Some(CloseCause::PeerClosedWhileIdle);
            for node in [self.borrowers[at].conn.node.get(), u32::from(which) % 4] {
                self.state
                    .remove_idle(node, id, |_| cause, self.now, &mut self.effects);
            }
        }
        Ok(())
    }

    pub(super) fn reap(&mut self) -> Result<(), Wrong> {
        let mut reaped = self.state.reap(self.now, &mut self.effects);
        self.reference.close_each_idle(Reference::idle_timeout);
        reaped.to_arm.sort_unstable();
        same("to arm", &reaped.to_arm, &self.due_for_arming())?;
        for id in reaped.to_arm {
            let node = self.node_of(id).ok_or("what is to be armed is not idle")?;
            let conn = self.state.idle.held(node);
            conn.ok_or("an empty node")?.is_armed.set(true);
        }
        for id in reaped.retired {
            if let Some(node) = self.node_of(id) {
                let why = |_: &Fake| Some(CloseCause::Lifetime);
                self.state
                    .remove_idle(node, id, why, self.now, &mut self.effects);
            }
        }
        self.reference.close_each_idle(Reference::lifetime);
        self.check_next_look(reaped.next)
    }

    pub(super) fn close_idle(&mut self) -> Result<(), Wrong> {
        let cause = CloseCause::Evicted;
        self.in_parts(|state, now, effects| state.close_idle(cause, now, effects));
        self.reference.close_asked();
        self.reference.close_each_idle(|_, _| Some(cause));
        Ok(())
    }

    /// What is borrowed then is closed when it comes back.
    pub(super) fn evict(&mut self, to: Option<usize>) -> Result<(), Wrong> {
        let destinations = self.destinations;
        let address = to.map(|to| &destinations[to].address);
        let is_there = |to: usize| address.is_none_or(|address| destinations[to].is_at(address));
        for id in self.borrowed_ids(is_there) {
            // What was found before counts more.
            if self.facts(id).unfit().is_none() {
                self.reference.mark_unfit(id, CloseCause::Evicted);
            }
        }
        self.in_parts(|state, now, effects| state.evict(address, now, effects));
        self.reference
            .close_each_idle(|_, conn| is_there(conn.to).then_some(CloseCause::Evicted));
        Ok(())
    }

    /// What abort takes for borrowed is: it goes by the nodes, once all are revoked.
    pub(super) fn check_nodes(&self) -> Result<(), Wrong> {
        let mut should_be = self.borrowed_ids(|_| true);
        let there = self.conns.iter().filter(|conn| !conn.is_gone.get());
        let mut is: Vec<u64> = there
            .filter(|conn| conn.node.get() == NOWHERE)
            .map(|conn| conn.id)
            .collect();
        is.sort_unstable();
        should_be.sort_unstable();
        same("on no shelf", is, should_be)
    }

    pub(super) fn wait_until_returned(&mut self) -> Result<(), Wrong> {
        if !self.reference.is_closed {
            return Ok(());
        }
        let waker = self.new_waker();
        let (is, _) = self.state.wait_until_returned(&waker);
        same(
            "not home yet",
            is,
            self.reference.wait_until_returned(waker),
        )
    }

    pub(super) fn close_longest_idle(&mut self) -> Result<(), Wrong> {
        let is = self.state.close_longest_idle(self.now, &mut self.effects);
        same("room made", is, self.reference.close_longest_idle())
    }
}
