//! What must hold after every step, whatever the steps were.
#![forbid(unsafe_code)]

use super::fake::Fake;
use super::reference::{Place, DESTINATIONS};
use super::world::{same, World, Wrong};
use crate::pool::shelf::Held;
use crate::pool::state::answer::{Want, ARM_AFTER};
use crate::pool::state::Entry;
use crate::pool::stats::Counters;
use crate::values::clock::Time;
use crate::values::options::ReuseOrder;

fn at_most(what: &str, is: u32, max: Option<u32>) -> Result<(), Wrong> {
    match max {
        Some(max) if is > max => Err(format!("{what}: {is}, at most {max}")),
        _ => Ok(()),
    }
}

impl World<'_> {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_destinations()?;
        self.check_totals()?;
        self.check_nobody_waits_in_vain()?;
        self.check_lifetimes()?;
        self.check_counters()
    }

    fn entry(&self, to: usize) -> Option<&Entry> {
        let id = *self.state.index.get(&self.destinations[to])?;
        self.state.entries.get(id as usize)?.as_ref()
    }

    fn check_destinations(&self) -> Result<(), Wrong> {
        let mut known = 0;
        for to in 0..DESTINATIONS {
            let is_needed = self.reference.conns.iter().any(|conn| conn.to == to)
                || self.reference.waiting().any(|waiter| waiter.call.to == to);
            let entry = self.entry(to);
            same(
                &format!("destination {to} is known"),
                entry.is_some(),
                is_needed,
            )?;
            if let Some(entry) = entry {
                known += 1;
                self.check_destination(to, entry)?;
            }
        }
        let entries = self.state.entries.iter().flatten().count();
        same("destinations", entries, known)?;
        same("the index", self.state.index.len(), known)
    }

    fn check_destination(&self, to: usize, entry: &Entry) -> Result<(), Wrong> {
        let reference = &self.reference;
        let limits = &self.rules.limits;
        let borrowed = |place| place == Place::Borrowed;
        same(
            &format!("borrowed of {to}"),
            entry.borrowed,
            reference.count(|conn| conn.to == to && borrowed(conn.place)),
        )?;
        same(
            &format!("dialing to {to}"),
            entry.dialing,
            reference.dialing_to(to),
        )?;
        same(
            &format!("nobody waits for {to}"),
            entry.row.is_empty(),
            !reference.waiting().any(|waiter| waiter.call.to == to),
        )?;
        at_most(
            "conns per address",
            entry.conns(),
            limits.max_conns_per_address,
        )?;
        at_most(
            "dials per address",
            entry.dialing,
            limits.max_dials_per_address,
        )?;
        let most_idle = Some(limits.max_idle_per_address);
        at_most("idle per address", entry.shelf.len(), most_idle)?;
        self.check_shelf(to, entry)
    }

    /// The shelf holds what the reference calls idle, in the same order, once, and each knows its node.
    fn check_shelf(&self, to: usize, entry: &Entry) -> Result<(), Wrong> {
        let mut nodes = Vec::new();
        let mut is = Vec::new();
        let shelves = &self.state.shelves;
        // `find` takes a Fn.
        let found = std::cell::RefCell::new((&mut is, &mut nodes));
        shelves.find(&entry.shelf, ReuseOrder::Fifo, |conn: &Fake| {
            let (is, nodes) = &mut *found.borrow_mut();
            is.push(conn.id);
            nodes.push(conn.node.get());
            false
        });
        let idle = self.reference.conns.iter().filter(|conn| conn.to == to);
        let should_be: Vec<u64> = idle
            .filter(|conn| conn.is_idle())
            .map(|conn| conn.id)
            .collect();
        same(&format!("the shelf of {to}"), &is, &should_be)?;
        same("its length", entry.shelf.len() as usize, is.len())?;
        for (&node, &id) in nodes.iter().zip(&is) {
            let to = self.state.index.get(&self.destinations[to]).copied();
            same("where it stands", shelves.destination_of(node, id), to)?;
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<(), Wrong> {
        let reference = &self.reference;
        let count = |which: fn(Place) -> bool| reference.count(|conn| which(conn.place));
        let stats = self.state.stats();
        let idle = count(|place| matches!(place, Place::Idle { .. }));
        let borrowed = count(|place| place == Place::Borrowed);
        let dialing = count(|place| place == Place::Dialing);
        same("idle", stats.idle, idle.into())?;
        same("borrowed", stats.borrowed, borrowed.into())?;
        same("dialing", stats.dialing, dialing.into())?;
        same("waiting", stats.waiting, reference.waiting().count() as u64)?;
        same("conn_count", self.state.conn_count(), idle + borrowed)?;
        same("idle_count", self.state.idle_count(None), idle)?;
        let limits = &self.rules.limits;
        at_most("conns", self.state.conns(), limits.max_conns)?;
        at_most("idle", self.state.idle_count(None), limits.max_idle)?;
        let tags_together = reference.idle_of(0) + reference.idle_of(1);
        let address = &self.destinations[0].address;
        same(
            "idle_count of an address",
            self.state.idle_count(Some(address)),
            tags_together,
        )
    }

    /// What makes newcomers safe: nothing is free that is of use to one who waits.
    fn check_nobody_waits_in_vain(&self) -> Result<(), Wrong> {
        for waiter in self.reference.waiting() {
            let call = waiter.call;
            let has_idle = call.want == Want::Any && self.reference.idle_of(call.to) > 0;
            if has_idle || self.reference.held(call.to, call.want).is_none() {
                return Err(format!("waits, and could be served: {call:?}"));
            }
        }
        Ok(())
    }

    /// The background will hear of every idle connection's end, and remembers no connection that is gone.
    fn check_lifetimes(&self) -> Result<(), Wrong> {
        let retiring = &self.state.retiring;
        for conn in self.reference.conns.iter().filter(|conn| conn.is_idle()) {
            let is_known = retiring.contains(&(conn.retire_at, conn.id));
            same("its lifetime", is_known, conn.retire_at != Time::NEVER)?;
        }
        let is_there = |id| self.reference.conns.iter().any(|conn| conn.id == id);
        match retiring.iter().find(|&&(_, id)| !is_there(id)) {
            Some(gone) => Err(format!("its lifetime goes on: {gone:?}")),
            None => Ok(()),
        }
    }

    fn check_counters(&self) -> Result<(), Wrong> {
        let stats = self.state.stats();
        let is = stats.counters;
        same(
            "the law of the counters",
            is.dials + is.puts,
            is.dial_failures + stats.idle + stats.borrowed + gone(&is),
        )?;
        let should_be = &self.reference.counters;
        let each = |of: &Counters| {
            [
                of.dials,
                of.dial_failures,
                of.puts,
                of.gets,
                of.releases,
                of.waits,
                of.wait_timeouts,
                of.stale_at_borrow,
                of.dirty_at_borrow,
                of.closed_while_idle,
                of.closed_idle_timeout,
                of.closed_lifetime,
                of.closed_max_uses,
                of.closed_idle_full,
                of.closed_evicted,
                of.closed_discarded,
                of.closed_foreign_fd,
                of.detached,
            ]
        };
        same("counters", each(&is), each(should_be))
    }

    /// Those idle for long enough that are not watched for bytes.
    pub(super) fn due_for_arming(&self) -> Vec<u64> {
        let mut due: Vec<u64> = self
            .reference
            .conns
            .iter()
            .filter(|conn| match conn.place {
                Place::Idle { since } => {
                    since.after(ARM_AFTER) <= self.now && self.wants_arming(conn.id)
                }
                _ => false,
            })
            .map(|conn| conn.id)
            .collect();
        due.sort_unstable();
        due
    }

    fn wants_arming(&self, id: u64) -> bool {
        let node = self.node_of(id);
        let conn = node.and_then(|node| self.state.shelves.held(node));
        conn.is_some_and(Held::wants_arming)
    }

    /// The engine comes back in time for everything, and not at once for nothing.
    pub(super) fn check_next_look(&self, next: Time) -> Result<(), Wrong> {
        if next <= self.now {
            return Err(format!("to look again at {next:?}, now is {:?}", self.now));
        }
        for conn in &self.reference.conns {
            let Place::Idle { since } = conn.place else {
                continue;
            };
            let timeout = self.rules.keeping.idle_timeout;
            let ends = timeout.map_or(Time::NEVER, |timeout| since.after(timeout));
            let arms = if self.wants_arming(conn.id) {
                since.after(ARM_AFTER)
            } else {
                Time::NEVER
            };
            let due = ends.min(conn.retire_at).min(arms);
            if next > due {
                return Err(format!("to look again at {next:?}, but {conn:?} is due"));
            }
        }
        Ok(())
    }

    /// Nothing is left of a pool that everybody has left.
    pub(super) fn check_empty(&self) -> Result<(), Wrong> {
        let state = &self.state;
        same("entries", state.entries.iter().flatten().count(), 0)?;
        same("the index", state.index.len(), 0)?;
        same("idle", state.shelves.len(), 0)?;
        same("lifetimes", state.retiring.len(), 0)?;
        same("drainers", state.drainers.len(), 0)?;
        same("waiting", state.line.waiting(), 0)
    }
}

/// Connections that the pool does not count any more.
fn gone(of: &Counters) -> u64 {
    of.gets
        + of.detached
        + of.stale_at_borrow
        + of.dirty_at_borrow
        + of.closed_while_idle
        + of.closed_idle_timeout
        + of.closed_lifetime
        + of.closed_max_uses
        + of.closed_idle_full
        + of.closed_evicted
        + of.closed_discarded
        + of.closed_hook
        + of.closed_foreign_fd
}
