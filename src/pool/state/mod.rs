//! What a pool's lock guards: destinations, idle connections, waiters, limits, counters.
//!
//! Pure transitions: each takes the time it needs, changes numbers and lists, and returns what must
//! happen outside ([`Effects`], applied after unlock). No descriptor, no clock, no callback in
//! here, and generic over what a connection is, so that a test can drive it with plain numbers.
//! `pool::Pool` is the caller.
//!
//! A connection counts against the limits from the moment a dial is allowed until it is closed or
//! given away:
//!
//! | from | call | to |
//! |---|---|---|
//! | nothing | `take` or `collect` → `Dial` | dialing |
//! | dialing | `dial_done` | borrowed |
//! | dialing | `dial_failed` | nothing |
//! | idle | `take` → `Reuse`, `take_idle` | borrowed |
//! | borrowed | `give_back` | idle, closed, or borrowed by a waiter (`collect` → `Reuse`) |
//! | borrowed | `reject`, `take_another` | closed |
//! | borrowed | `forget` | nothing: the program owns it now |
//! | nothing | `admit` | idle, or borrowed by a waiter |
//! | idle | `remove_idle`, `reap`, `close_idle`, `evict`, `close`, `make_room` | closed |
//!
//! Borrowers that have to wait are in the queue of `wait`, which is served at the end of every
//! transition.
#![forbid(unsafe_code)]

pub(crate) mod answer;
mod borrow;
pub(crate) mod closing;
pub(crate) mod counters;
mod dials;
mod give_back;
pub(crate) mod held;
pub(crate) mod idle_checks;
pub(crate) mod idle_list;
mod index;
mod limits;
#[cfg(test)]
#[path = "../../../tests/model/mod.rs"]
mod model;
mod refill;
mod revoke;
pub(crate) mod untold;
pub(crate) mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::answer::{Effects, Numbers, Reuse, Ticket};
use self::closing::due_after_keeping;
use self::counters::{Counters, Stats};
use self::dials::failures::Failures;
use self::dials::DialsInFlight;
use self::held::Held;
use self::idle_checks::IdleChecks;
use self::idle_list::{IdleList, Shelf};
use self::index::Index;
use self::refill::Refill;
use self::untold::UntoldCounts;
use self::wait::destination_queue::DestinationQueue;
use self::wait::WaitQueue;
use crate::sync::Arc;
use crate::values::address::Address;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::options::{Keeping, Limits};

/// Which destination of this pool; valid while the destination has anything idle, borrowed or being
/// dialed.
pub(crate) type DestinationId = u32;

/// Room for so many destinations is kept when nothing is left, so that one that comes and goes
/// costs no allocation.
const FEW: usize = 16;

#[derive(Debug)]
struct DestinationState {
    destination: Arc<Destination>,
    shelf: Shelf,
    borrowed: u32,
    /// Of those, the ones that on_idle is asked about.
    checking: u32,
    dialing: u32,
    /// The last eviction of this destination, by its number.
    evicted_at: u32,
    untold: UntoldCounts,
    queue: DestinationQueue,
    refill: Refill,
}

impl DestinationState {
    fn conns(&self) -> u32 {
        self.shelf.len() + self.borrowed + self.dialing
    }

    /// Connections that one more dial cannot push aside: its own idle ones are of no use to a fresh
    /// dial.
    fn in_the_way_of(&self, reuse: Reuse) -> u32 {
        match reuse {
            Reuse::Never => self.borrowed + self.dialing,
            _ => self.conns(),
        }
    }

    /// Whether the destination's own limits let a dial begin.
    fn may_dial(&self, reuse: Reuse, limits: &Limits) -> bool {
        self.may_dial_after(0, reuse, limits)
    }

    /// As `may_dial`, once so many others have begun.
    fn may_dial_after(&self, others: u32, reuse: Reuse, limits: &Limits) -> bool {
        let is_below = |count, max: Option<u32>| max.is_none_or(|max| count < max);
        let slots = self.in_the_way_of(reuse) + self.untold.held_slots(true) + others;
        is_below(slots, limits.max_conns_per_address)
            && is_below(self.turns() + others, limits.max_dials_per_address)
    }

    /// Of max_dials_per_address.
    fn turns(&self) -> u32 {
        self.dialing + self.untold.turns
    }

    fn is_empty(&self) -> bool {
        self.conns() == 0 && self.queue.is_empty() && self.untold.is_none()
    }
}

/// The guarded whole.
#[derive(Debug)]
pub(crate) struct State<C: Held> {
    limits: Limits,
    keeping: Keeping,
    entries: Vec<Option<DestinationState>>,
    free_entries: Vec<DestinationId>,
    index: Index,
    idle: IdleList<C>,
    /// Ends of lifetimes, of connections idle and borrowed; empty unless there is a max_lifetime.
    retiring: BTreeSet<(Time, u64)>,
    /// Everything that became idle up to then has been looked at for arming.
    armed_up_to: Time,
    borrowed: u32,
    dialing: u32,
    counters: Counters,
    failures: Failures,
    /// Evictions so far: a connection is evicted if its destination's last one is later than the
    /// connection's epoch, which is the number of evictions when the pool got it.
    evictions: u32,
    /// The last eviction of everything.
    evicted_at: u32,
    /// Calls of close_idle so far.
    closings: u32,
    checks: IdleChecks,
    /// Borrowed connections that on_release looks at in the background.
    releasing: u32,
    queue: WaitQueue<C>,
    flights: DialsInFlight<C>,
    /// Who waits for the last borrowed connection to come home.
    drain_waiters: BTreeMap<Ticket, C::Waker>,
    /// What was put on a shelf since the engine was told.
    idle_deadline: Time,
    refill_check_at: Time,
    is_refill_blocked: bool,
    is_closed: bool,
    /// There is an on_event.
    is_observed: bool,
    untold: UntoldCounts,
    /// By the dial that had been answered with it.
    unfetched: BTreeMap<Ticket, C>,
    /// Whose `take` runs, in a pool with on_event.
    taker: Option<Ticket>,
    /// Slots that it has freed are free for what is looked for now.
    is_for_taker: bool,
}

impl<C: Held> State<C> {
    pub(crate) fn new(limits: Limits, keeping: Keeping, fail_fast: Option<Duration>) -> Self {
        Self {
            limits,
            keeping,
            entries: Vec::new(),
            free_entries: Vec::new(),
            index: Index::new(),
            idle: IdleList::new(),
            retiring: BTreeSet::new(),
            armed_up_to: Time::default(),
            borrowed: 0,
            dialing: 0,
            counters: Counters::default(),
            failures: Failures::new(fail_fast),
            evictions: 0,
            evicted_at: 0,
            closings: 0,
            checks: IdleChecks::default(),
            releasing: 0,
            queue: WaitQueue::new(),
            flights: DialsInFlight::new(),
            drain_waiters: BTreeMap::new(),
            idle_deadline: Time::NEVER,
            refill_check_at: Time::NEVER,
            is_refill_blocked: false,
            is_closed: false,
            is_observed: false,
            untold: UntoldCounts::default(),
            unfetched: BTreeMap::new(),
            taker: None,
            is_for_taker: false,
        }
    }

    fn entry(&mut self, id: DestinationId) -> &mut DestinationState {
        match &mut self.entries[id as usize] {
            Some(entry) => entry,
            None => unreachable!("destination {id} is in use, so it is known"),
        }
    }

    fn conns(&self) -> u32 {
        self.idle.len() + self.borrowed + self.dialing
    }

    /// The end of a transition that changed a destination's numbers: whoever can be served now is.
    fn settle(&mut self, id: DestinationId, now: Time, effects: &mut Effects<C>) {
        self.refresh(id);
        self.serve(now, effects);
        self.recheck_refill_if_blocked(now);
        self.forget_if_empty(id);
        if self.borrowed == 0 && !self.drain_waiters.is_empty() {
            let drain_waiters = std::mem::take(&mut self.drain_waiters);
            effects.wakes.extend(drain_waiters.into_values());
        }
    }

    /// Takes one from its shelf; `None`: its borrower has it.
    fn revoke_and_remove(&mut self, node: u32, id: DestinationId) -> Option<(C, Time)> {
        self.revoke(node, id)
            .then(|| self.remove(node, id))
            .flatten()
    }

    fn remove(&mut self, node: u32, id: DestinationId) -> Option<(C, Time)> {
        let Self { entries, idle, .. } = self;
        let entry = entries.get_mut(id as usize)?.as_mut()?;
        let removed = idle.remove(&mut entry.shelf, node)?;
        self.checks.remove(node);
        Some(removed)
    }

    fn make_idle(&mut self, conn: C, id: DestinationId, now: Time) {
        // A giver that was held up between the clock and the lock must not fall behind what was
        // looked at already.
        let now = now.max(self.armed_up_to.after(std::time::Duration::from_nanos(1)));
        let Self { entries, idle, .. } = self;
        if let Some(Some(entry)) = entries.get_mut(id as usize) {
            let due = due_after_keeping(&self.keeping, &conn, now);
            self.idle_deadline = self.idle_deadline.min(due);
            // Who waits for a fresh one goes by how many are borrowed, which must not change
            // unseen.
            let may = self.keeping.allows_fast_path() && !entry.queue.has_fresh();
            conn.make_idle(now, may);
            let node = idle.push(&mut entry.shelf, id, conn, now);
            self.schedule_check(node, now);
        }
    }

    /// When the engine has to look, as far as it does not know yet.
    pub(crate) fn next_deadline(&mut self) -> Time {
        let shelved = std::mem::replace(&mut self.idle_deadline, Time::NEVER);
        shelved.min(self.refill_check_at)
    }

    /// `waker` is woken when nothing is borrowed any more; how many are, and by what
    /// `stop_waiting_until_returned` knows it.
    pub(crate) fn wait_until_returned(&mut self, waker: &C::Waker) -> (u32, Ticket) {
        let ticket = self.queue.draw();
        if self.borrowed > 0 {
            self.drain_waiters.insert(ticket, waker.clone());
        }
        (self.borrowed, ticket)
    }

    pub(crate) fn stop_waiting_until_returned(&mut self, ticket: Ticket) {
        self.drain_waiters.remove(&ticket);
    }

    /// Of one destination, those that on_idle is asked about included.
    pub(crate) fn idle_of(&mut self, destination: &Destination) -> u32 {
        let own = self.index.find(destination);
        if let Some(id) = own {
            self.revoke_out_of(id);
        }
        self.known(own)
            .map_or(0, |entry| entry.shelf.len() + entry.checking)
    }

    /// Idle + borrowed.
    pub(crate) fn conn_count(&self) -> u32 {
        self.idle.len() + self.borrowed
    }

    /// Of one address, whatever the tag; `None`: of all. With those that are out (`checked_out`).
    pub(crate) fn idle_count(&self, address: Option<&Address>) -> u32 {
        match address {
            None => self.idle.len(),
            Some(address) => self
                .index
                .at(address)
                .filter_map(|id| self.known(Some(id)))
                .map(|entry| entry.shelf.len())
                .sum(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How many are known.
    pub(crate) fn destinations(&self) -> usize {
        self.index.len()
    }

    /// Every destination's numbers, in the order of the addresses.
    pub(crate) fn numbers_by_destination(&self) -> Vec<Numbers> {
        let mut entries: Vec<&DestinationState> = self.entries.iter().flatten().collect();
        entries.sort_by(|one, other| one.destination.cmp(&other.destination));
        let numbers = |entry: &DestinationState| Numbers {
            destination: entry.destination.clone(),
            idle: entry.shelf.len(),
            borrowed: entry.borrowed,
            dialing: entry.dialing,
            waiting: entry.queue.waiting(),
        };
        entries.into_iter().map(numbers).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            counters: self.counters.clone(),
            idle: self.idle.len().into(),
            borrowed: self.borrowed.into(),
            dialing: self.dialing.into(),
            waiting: self.queue.waiting().into(),
            releasing: self.releasing.into(),
        }
    }
}
