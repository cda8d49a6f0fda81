//! What must hold after every step, whatever the steps were.
#![forbid(unsafe_code)]

use super::fake::Fake;
use super::reference::{Conn, Reference, SlotId, DESTINATIONS};
use super::world::{same, World, Wrong};
use crate::pool::state::answer::{Reuse, ARM_AFTER};
use crate::pool::state::counters::{Counters, CLOSED};
use crate::pool::state::held::{Held, NOWHERE};
use crate::pool::state::DestinationState;
use crate::values::clock::Time;
use crate::values::options::ReuseOrder;

/// What counts against the limits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    conns: u32,
    of: [(u32, u32); DESTINATIONS],
}

impl Counts {
    pub(super) fn of(reference: &Reference) -> Self {
        let conns_of = |to| reference.count(|conn| conn.to == to);
        Self {
            conns: reference.count(|_| true),
            of: std::array::from_fn(|to| (conns_of(to), reference.dialing_to(to))),
        }
    }
}

/// A limit, or what there was before where the limit was lowered below it: that may only shrink.
fn or_fewer_than(before: u32, max: Option<u32>) -> Option<u32> {
    max.map(|max| max.max(before))
}

fn at_most(what: &str, is: u32, max: Option<u32>) -> Result<(), Wrong> {
    match max {
        Some(max) if is > max => Err(format!("{what}: {is}, at most {max}")),
        _ => Ok(()),
    }
}

/// What has been borrowed and brought back without the state, and that it has not looked at. Its
/// numbers are compared as they would be if it had: calling in after every step would leave no loan
/// that lasts longer. `Step::Count` has it look, and nothing is unseen then. Where the contract has
/// it know by itself (answers, refusals and their numbers, closes) nothing is added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unseen {
    loans: u32,
    pub(super) out: u32,
}

impl Unseen {
    fn of<'a>(conns: impl Iterator<Item = &'a Fake>) -> Self {
        conns.fold(Self::default(), |sum, conn| {
            let checked_out = conn.uncounted();
            Self {
                loans: sum.loans + checked_out.loans,
                out: sum.out + u32::from(checked_out.is_out),
            }
        })
    }
}

impl World<'_> {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_destinations()?;
        self.check_room()?;
        self.check_totals()?;
        self.check_permissions()?;
        self.check_nobody_waits_in_vain()?;
        self.check_lifetimes()?;
        self.check_counters()
    }

    fn on_shelf<'a>(&'a self, entry: &'a DestinationState) -> impl Iterator<Item = &'a Fake> {
        let nodes = self.state.idle.nodes_of(&entry.shelf);
        nodes.filter_map(|node| self.state.idle.held(node))
    }

    pub(super) fn unseen(&self) -> Unseen {
        let entries = self.state.entries.iter().flatten();
        Unseen::of(entries.flat_map(|entry| self.on_shelf(entry)))
    }

    fn entry(&self, to: usize) -> Option<&DestinationState> {
        let id = self.state.index.find(&self.destinations[to])?;
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

    /// A give-back must not fail: whatever may come back finds room, also what a waiter dials.
    fn check_room(&self) -> Result<(), Wrong> {
        let state = &self.state;
        let more = state.borrowed + state.dialing + state.queue.waiting();
        same(
            &format!("room for {more} that become idle"),
            (state.idle.len() + more) as usize <= state.idle.capacity(),
            true,
        )
    }

    fn check_destination(&self, to: usize, entry: &DestinationState) -> Result<(), Wrong> {
        let reference = &self.reference;
        let limits = &self.rules.limits;
        let before = self.before.of[to];
        same(
            &format!("borrowed of {to}"),
            entry.borrowed + Unseen::of(self.on_shelf(entry)).out,
            reference.count(|conn| conn.to == to && conn.is_borrowed()),
        )?;
        same(
            &format!("asked about of {to}"),
            entry.checking,
            reference.asked_of(to),
        )?;
        same(
            &format!("dialing to {to}"),
            entry.dialing,
            reference.dialing_to(to),
        )?;
        same(
            &format!("nobody waits for {to}"),
            entry.queue.is_empty(),
            !reference.waiting().any(|waiter| waiter.call.to == to),
        )?;
        at_most(
            "conns per address",
            entry.conns(),
            or_fewer_than(before.0, limits.max_conns_per_address),
        )?;
        at_most(
            "dials per address",
            entry.dialing,
            or_fewer_than(before.1, limits.max_dials_per_address),
        )?;
        let most_idle = Some(limits.max_idle_per_address);
        at_most("idle per address", entry.shelf.len(), most_idle)?;
        self.check_shelf(to, entry)
    }

    /// The shelf holds what the reference calls idle, in the same order, once, and what is out, and
    /// each knows its node.
    fn check_shelf(&self, to: usize, entry: &DestinationState) -> Result<(), Wrong> {
        let on_shelf: Vec<&Fake> = self.on_shelf(entry).collect();
        let there = on_shelf
            .iter()
            .rev()
            .filter(|conn| !conn.uncounted().is_out);
        let is: Vec<u64> = there.map(|conn| conn.id).collect();
        let idle = self.reference.conns.iter().filter(|conn| conn.to == to);
        let should_be: Vec<u64> = idle
            .filter(|conn| conn.is_idle())
            .map(|conn| conn.id)
            .collect();
        same(&format!("the shelf of {to}"), &is, &should_be)?;
        same("its length", entry.shelf.len() as usize, on_shelf.len())?;
        let to = self.state.index.find(&self.destinations[to]);
        for conn in on_shelf {
            let stands = self.state.idle.destination_of(conn.node.get(), conn.id);
            same("where it stands", stands, to)?;
        }
        self.check_both_ways(entry)
    }

    /// `find`, from either end, and `nodes_of` meet the same.
    fn check_both_ways(&self, entry: &DestinationState) -> Result<(), Wrong> {
        let nodes: Vec<u32> = self.state.idle.nodes_of(&entry.shelf).collect();
        let found = |order| {
            let found = std::cell::RefCell::new(Vec::new());
            self.state.idle.find(&entry.shelf, order, |conn: &Fake| {
                found.borrow_mut().push(conn.node.get());
                false
            });
            found.into_inner()
        };
        same("the newest first", found(ReuseOrder::Lifo), nodes.clone())?;
        let oldest_first = nodes.into_iter().rev().collect();
        same("the oldest first", found(ReuseOrder::Fifo), oldest_first)
    }

    /// What stands on no shelf is borrowed by the state alone. And each loan is told once.
    fn check_permissions(&self) -> Result<(), Wrong> {
        for conn in self.conns.iter().filter(|conn| !conn.is_gone.get()) {
            if conn.node.get() == NOWHERE && conn.is_biased() {
                return Err(format!("on no shelf, and to be borrowed there: {conn:?}"));
            }
            let uncounted = if conn.node.get() == NOWHERE {
                0
            } else {
                conn.uncounted().loans
            };
            let mut known = self.reference.conns.iter();
            let known = known.find(|one| one.id == conn.id);
            let should_be = known.ok_or("nobody counts it")?.uses;
            same("its uses", conn.uses.get() + uncounted, should_be)?;
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<(), Wrong> {
        let reference = &self.reference;
        let count = |which: fn(SlotId) -> bool| reference.count(|conn| which(conn.place));
        let stats = self.state.stats();
        let out = self.unseen().out;
        let idle = count(|place| matches!(place, SlotId::Idle { .. }));
        let borrowed = reference.count(Conn::is_borrowed);
        let dialing = count(|place| place == SlotId::Dialing);
        same("idle", stats.idle, (idle + out).into())?;
        same("borrowed", stats.borrowed + u64::from(out), borrowed.into())?;
        same("dialing", stats.dialing, dialing.into())?;
        same("waiting", stats.waiting, reference.waiting().count() as u64)?;
        same("conn_count", self.state.conn_count(), idle + borrowed)?;
        same("idle_count", self.state.idle_count(None), idle + out)?;
        let limits = &self.rules.limits;
        let most = or_fewer_than(self.before.conns, limits.max_conns);
        at_most("conns", self.state.conns(), most)?;
        at_most("idle", self.state.idle_count(None), limits.max_idle)?;
        let out_of = |to| self.entry(to).map(|entry| self.on_shelf(entry));
        let out_of = |to| out_of(to).map_or(0, |conns| Unseen::of(conns).out);
        let tags_together = [0, 1].map(|to| reference.idle_of(to) + out_of(to));
        let address = &self.destinations[0].address;
        same(
            "idle_count of an address",
            self.state.idle_count(Some(address)),
            tags_together.iter().sum(),
        )
    }

    /// What makes newcomers safe: nothing is free that is of use to one who waits.
    fn check_nobody_waits_in_vain(&self) -> Result<(), Wrong> {
        for waiter in self.reference.waiting() {
            let call = waiter.call;
            let has_idle = call.reuse == Reuse::Allowed && self.reference.idle_of(call.to) > 0;
            if has_idle || self.reference.held(call.to, call.reuse).is_none() {
                return Err(format!("waits, and could be served: {call:?}"));
            }
        }
        Ok(())
    }

    /// The background will hear of every idle connection's end, and remembers no connection that is
    /// gone.
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
        let Unseen { loans, out } = self.unseen();
        same("reuses", is.reuses + u64::from(loans), should_be.reuses)?;
        let releases = is.releases + u64::from(loans);
        same("releases", releases, should_be.releases + u64::from(out))?;
        // These differ by what is unseen, or the reference has no clock and leaks.
        let others = ["reuses", "releases", "wait_us", "leaks"];
        let each = |of: &Counters| {
            let named = of.named().into_iter();
            let named = named.filter(|counter| !others.contains(&counter.name));
            named.map(|one| (one.name, one.value)).collect::<Vec<_>>()
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
                SlotId::Idle { since } => {
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
        let conn = node.and_then(|node| self.state.idle.held(node));
        conn.is_some_and(Held::wants_arming)
    }

    /// The engine comes back in time for everything, and not at once for nothing.
    pub(super) fn check_next_look(&self, next: Time) -> Result<(), Wrong> {
        if next <= self.now {
            return Err(format!("to look again at {next:?}, now is {:?}", self.now));
        }
        for conn in &self.reference.conns {
            let SlotId::Idle { since } = conn.place else {
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
        same("idle", state.idle.len(), 0)?;
        same("lifetimes", state.retiring.len(), 0)?;
        same("drain_waiters", state.drain_waiters.len(), 0)?;
        same("waiting", state.queue.waiting(), 0)
    }
}

/// Connections that the pool does not count any more.
fn gone(of: &Counters) -> u64 {
    let closed = of.named().into_iter();
    let closed = closed.filter(|counter| counter.name.starts_with(CLOSED));
    let closed: u64 = closed.map(|counter| counter.value).sum();
    of.gets + of.detached + of.stale_at_borrow + of.dirty_at_borrow + closed
}
