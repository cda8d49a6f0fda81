//! Taking: an idle connection, or the right to dial; and what becomes of a dial.
#![forbid(unsafe_code)]

use super::answer::{DialRight, Effects, Refusal, Take, Want};
use super::{DestinationId, State};
use crate::pool::shelf::Held;
use crate::pool::stats::Cause;
use crate::sync::Arc;
use crate::values::address::Destination;
use crate::values::clock::Time;
use crate::values::error::Error;
use crate::values::options::ReuseOrder;

impl<C: Held> State<C> {
    /// Why an idle connection may not be handed out any more.
    pub(super) fn expired(&self, conn: &C, idle_since: Time, now: Time) -> Option<Cause> {
        if conn.retire_at() <= now {
            return Some(Cause::Lifetime);
        }
        let timeout = self.keeping.idle_timeout?;
        (idle_since.after(timeout) <= now).then_some(Cause::IdleTimeout)
    }

    /// Takes the next idle connection of a destination that pleases `choose`; it counts as borrowed.
    pub(crate) fn take_idle(
        &mut self,
        destination: &Destination,
        choose: impl Fn(&C) -> bool,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<C> {
        let &id = self.index.get(destination)?;
        let found = loop {
            let order = self.keeping.reuse_order;
            let Self {
                entries, shelves, ..
            } = self;
            let entry = entries[id as usize].as_ref()?;
            let Some(node) = shelves.find(&entry.shelf, order, &choose) else {
                break None;
            };
            let Some((conn, idle_since)) = self.unshelve(node, id) else {
                break None;
            };
            match self.expired(&conn, idle_since, now) {
                Some(cause) => self.close(conn, cause, effects),
                None => break Some(conn),
            }
        };
        if found.is_some() {
            self.entry(id).borrowed += 1;
            self.borrowed += 1;
        }
        self.forget_if_empty(id);
        found
    }

    /// The one way to borrow.
    pub(crate) fn take(
        &mut self,
        destination: &Arc<Destination>,
        want: Want,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Take<C> {
        if self.is_closed {
            return Take::Refused(Refusal::PoolClosed);
        }
        if want != Want::Fresh {
            if let Some(conn) = self.take_idle(destination, |_| true, now, effects) {
                return Take::Reuse(conn);
            }
            if want == Want::Idle {
                return Take::Refused(Refusal::NothingIdle);
            }
        }
        match self.allow_dial(destination, want, now, effects) {
            Err(refusal) => Take::Refused(refusal),
            Ok(right) => {
                let destination = self.entry(right.destination).destination.clone();
                Take::Dial(right, destination)
            }
        }
    }

    fn allow_dial(
        &mut self,
        destination: &Arc<Destination>,
        want: Want,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<DialRight, Refusal> {
        self.failures.check(destination, now)?;
        self.make_room(destination, want == Want::Fresh, effects)?;
        let is_probe = self.failures.begin_probe(destination);
        let id = self.find_or_add(destination);
        self.entry(id).dialing += 1;
        self.dialing += 1;
        Ok(DialRight {
            destination: id,
            is_probe,
        })
    }

    /// Sees to it that one more connection of `destination` is within the limits, by closing the longest idle one that
    /// may go: of another destination, or of its own too if its own are of no use to the caller.
    pub(super) fn make_room(
        &mut self,
        destination: &Destination,
        own_too: bool,
        effects: &mut Effects<C>,
    ) -> Result<(), Refusal> {
        let own = self.index.get(destination).copied();
        if let (Some(max), Some(id)) = (self.limits.max_conns_per_address, own) {
            if self.entry(id).conns() >= max {
                let node = self.oldest_of(id).filter(|_| own_too);
                match node {
                    Some(node) => self.close_idle_node(node, id, Cause::Evicted, effects),
                    None => return Err(self.exhausted("max_conns_per_address", max)),
                }
            }
        }
        let Some(max) = self.limits.max_conns else {
            return Ok(());
        };
        while self.conns() >= max {
            let except = own.filter(|_| !own_too);
            match self.shelves.oldest_not_of(except) {
                Some((node, id)) => self.close_idle_node(node, id, Cause::Evicted, effects),
                None => return Err(self.exhausted("max_conns", max)),
            }
        }
        Ok(())
    }

    fn oldest_of(&self, id: DestinationId) -> Option<u32> {
        let entry = self.entries.get(id as usize)?.as_ref()?;
        self.shelves.find(&entry.shelf, ReuseOrder::Fifo, |_| true)
    }

    pub(super) fn exhausted(&self, limit: &'static str, max: u32) -> Refusal {
        Refusal::Exhausted {
            limit,
            max,
            idle: self.shelves.len(),
            borrowed: self.borrowed,
            dialing: self.dialing,
        }
    }

    /// A dial succeeded: its connection is borrowed now, unless the pool was closed meanwhile (`Err`: it counts no
    /// more, and is to be closed by the caller).
    pub(crate) fn dialed(&mut self, right: DialRight, conn: &C) -> Result<(), Refusal> {
        if self.is_closed {
            self.dial_failed(right, None);
            return Err(Refusal::PoolClosed);
        }
        self.counters.dials += 1;
        self.dialing -= 1;
        self.borrowed += 1;
        let entry = self.entry(right.destination);
        entry.dialing -= 1;
        entry.borrowed += 1;
        let destination = entry.destination.clone();
        self.failures.succeeded(&destination);
        self.note_lifetime(conn);
        Ok(())
    }

    /// A dial failed, or was given up; with the error and the time if the destination is to blame.
    pub(crate) fn dial_failed(&mut self, right: DialRight, blame: Option<(&Error, Time)>) {
        self.counters.dials += 1;
        self.counters.dial_failures += 1;
        self.dialing -= 1;
        let entry = self.entry(right.destination);
        entry.dialing -= 1;
        let destination = entry.destination.clone();
        match blame {
            Some((error, now)) => self.failures.failed(destination, error, now),
            None if right.is_probe => self.failures.probe_ended(&destination),
            None => {}
        }
        self.forget_if_empty(right.destination);
    }

    pub(super) fn note_lifetime(&mut self, conn: &C) {
        if conn.retire_at() != Time::NEVER {
            self.retiring.insert((conn.retire_at(), conn.id()));
        }
    }

    /// A reused connection reached its borrower.
    pub(crate) fn reused(&mut self) {
        self.counters.reuses += 1;
    }

    pub(super) fn end_borrow(&mut self, id: DestinationId) {
        self.borrowed -= 1;
        self.entry(id).borrowed -= 1;
    }

    /// A borrowed connection turned out to be unfit before its borrower saw it.
    pub(crate) fn reject(
        &mut self,
        id: DestinationId,
        conn: C,
        cause: Cause,
        effects: &mut Effects<C>,
    ) {
        self.end_borrow(id);
        self.close(conn, cause, effects);
        self.forget_if_empty(id);
    }
}
