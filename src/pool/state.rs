//! What a pool's lock guards: destinations, shelves, limits, counters.
//!
//! Pure transitions: each takes the time it needs, changes numbers and lists, and returns what must happen outside
//! ([`Effects`], applied after unlock). No descriptor, no clock, no callback in here, and generic over what a connection
//! is, so that a test can drive it with plain numbers. `pool::Pool` is the caller.
//!
//! A connection counts against the limits from the moment a dial is allowed until it is closed or given away:
//!
//! | from | call | to |
//! |---|---|---|
//! | nothing | `take` → `Dial` | dialing |
//! | dialing | `dialed` | borrowed |
//! | dialing | `dial_failed` | nothing |
//! | idle | `take` → `Reuse`, `take_idle` | borrowed |
//! | borrowed | `give_back` | idle, or closed |
//! | borrowed | `reject` | closed |
//! | borrowed | `forget` | nothing: the program owns it now |
//! | nothing | `admit` | idle |
//! | idle | `remove_idle`, `reap`, `close_idle`, `close`, room made by `take` and `admit` | closed |
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::shelf::{Held, Shelf, Shelves};
use super::stats::{Cause, Counters, Stats};
use crate::sync::Arc;
use crate::values::address::{Address, Destination};
use crate::values::clock::Time;
use crate::values::error::{Error, Status};
use crate::values::options::{Keeping, Limits};

/// A connection is watched for stray bytes only after it has been idle for so long: a busy one costs no epoll_ctl, and
/// the engine wakes up at most twice a second for all of them.
pub(crate) const ARM_AFTER: Duration = Duration::from_millis(500);

/// Which destination of this pool; valid while the destination has anything idle, borrowed or being dialed.
pub(crate) type DestinationId = u32;

#[derive(Debug)]
struct Entry {
    destination: Arc<Destination>,
    shelf: Shelf,
    borrowed: u32,
    dialing: u32,
}

impl Entry {
    fn conns(&self) -> u32 {
        self.shelf.len() + self.borrowed + self.dialing
    }
}

/// What a caller asks `take` for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// An idle one, else a new one.
    Any,
    /// A new one.
    Fresh,
    /// An idle one.
    Idle,
}

/// The answer of `take`.
#[derive(Debug)]
pub(crate) enum Take<C> {
    /// An idle one, now borrowed.
    Reuse(C),
    /// The right to dial, to be ended by `dialed` or `dial_failed`.
    Dial(DestinationId, Arc<Destination>),
    Refused(Refusal),
}

/// Why nothing was to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    PoolClosed,
    NothingIdle,
    IdleFull {
        limit: &'static str,
        max: u32,
    },
    Exhausted {
        limit: &'static str,
        max: u32,
        idle: u32,
        borrowed: u32,
        dialing: u32,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PoolClosed => Error::new(Status::PoolClosed, "the pool is closed"),
            Refusal::NothingIdle => Error::new(Status::NotAvailable, "no idle connection"),
            Refusal::IdleFull { limit, max } => {
                Error::new(Status::IdleFull, format!("no room for an idle connection: {limit}={max}"))
            }
            Refusal::Exhausted { limit, max, idle, borrowed, dialing } => Error::new(
                Status::PoolExhausted,
                format!(
                    "pool exhausted: {limit}={max} idle={idle} borrowed={borrowed} dialing={dialing} waiting=0 \
                     (wait_timeout_ms=0: not waiting)"
                ),
            ),
        }
    }
}

/// What a connection that comes back is in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Close(Cause),
}

/// What has to happen after unlock.
#[derive(Debug)]
pub(crate) struct Effects<C> {
    /// Connections that the pool no longer counts, to be closed.
    pub(crate) closes: Vec<(C, Cause)>,
}

impl<C> Effects<C> {
    pub(crate) const fn none() -> Self {
        Self { closes: Vec::new() }
    }
}

/// What a look by the engine found to do.
#[derive(Debug)]
pub(crate) struct Reaped {
    /// Connections whose lifetime has ended; those that are idle are to be removed.
    pub(crate) retired: Vec<u64>,
    /// Connections that have been idle long enough to be watched for bytes.
    pub(crate) to_arm: Vec<u64>,
    /// When to look again.
    pub(crate) next: Time,
}

/// The guarded whole.
#[derive(Debug)]
pub(crate) struct State<C> {
    limits: Limits,
    keeping: Keeping,
    entries: Vec<Option<Entry>>,
    free_entries: Vec<DestinationId>,
    index: HashMap<Arc<Destination>, DestinationId>,
    shelves: Shelves<C>,
    /// Ends of lifetimes, of connections idle and borrowed; empty unless there is a max_lifetime.
    retiring: BTreeSet<(Time, u64)>,
    /// Everything that became idle up to then has been looked at for arming.
    armed_up_to: Time,
    borrowed: u32,
    dialing: u32,
    counters: Counters,
    is_closed: bool,
}

impl<C: Held> State<C> {
    pub(crate) fn new(limits: Limits, keeping: Keeping) -> Self {
        Self {
            limits,
            keeping,
            entries: Vec::new(),
            free_entries: Vec::new(),
            index: HashMap::new(),
            shelves: Shelves::new(),
            retiring: BTreeSet::new(),
            armed_up_to: Time::default(),
            borrowed: 0,
            dialing: 0,
            counters: Counters::default(),
            is_closed: false,
        }
    }

    fn entry(&mut self, id: DestinationId) -> &mut Entry {
        match &mut self.entries[id as usize] {
            Some(entry) => entry,
            None => unreachable!("destination {id} is in use, so it is known"),
        }
    }

    fn conns(&self) -> u32 {
        self.shelves.len() + self.borrowed + self.dialing
    }

    fn find_or_add(&mut self, destination: &Arc<Destination>) -> DestinationId {
        if let Some(&id) = self.index.get(destination) {
            return id;
        }
        let entry = Entry {
            destination: destination.clone(),
            shelf: Shelf::EMPTY,
            borrowed: 0,
            dialing: 0,
        };
        let id = match self.free_entries.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(entry);
                id
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as DestinationId
            }
        };
        self.index.insert(destination.clone(), id);
        id
    }

    /// A destination with nothing left is forgotten at once.
    fn forget_if_empty(&mut self, id: DestinationId) {
        let entry = self.entry(id);
        if entry.conns() > 0 {
            return;
        }
        let destination = entry.destination.clone();
        self.entries[id as usize] = None;
        self.index.remove(&destination);
        if self.index.is_empty() {
            self.entries = Vec::new();
            self.free_entries = Vec::new();
            self.index = HashMap::new();
            self.shelves.trim();
        } else {
            self.free_entries.push(id);
        }
    }

    fn close(&mut self, conn: C, cause: Cause, effects: &mut Effects<C>) {
        self.counters.closed(cause);
        self.retiring.remove(&(conn.retire_at(), conn.id()));
        effects.closes.push((conn, cause));
    }

    fn close_idle_node(
        &mut self,
        node: u32,
        id: DestinationId,
        cause: Cause,
        effects: &mut Effects<C>,
    ) {
        if let Some((conn, _)) = self.unshelve(node, id) {
            self.close(conn, cause, effects);
        }
        self.forget_if_empty(id);
    }

    fn unshelve(&mut self, node: u32, id: DestinationId) -> Option<(C, Time)> {
        let Self {
            entries, shelves, ..
        } = self;
        let entry = entries.get_mut(id as usize)?.as_mut()?;
        shelves.remove(&mut entry.shelf, node)
    }

    fn shelve(&mut self, conn: C, id: DestinationId, now: Time) {
        let Self {
            entries, shelves, ..
        } = self;
        if let Some(Some(entry)) = entries.get_mut(id as usize) {
            shelves.push(&mut entry.shelf, id, conn, now);
        }
    }

    /// Why an idle connection may not be handed out any more.
    fn expired(&self, conn: &C, idle_since: Time, now: Time) -> Option<Cause> {
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
        match self.make_room(destination, want == Want::Fresh, effects) {
            Err(refusal) => Take::Refused(refusal),
            Ok(()) => {
                let id = self.find_or_add(destination);
                let entry = self.entry(id);
                entry.dialing += 1;
                let destination = entry.destination.clone();
                self.dialing += 1;
                Take::Dial(id, destination)
            }
        }
    }

    /// Sees to it that one more connection of `destination` is within the limits, by closing the longest idle one that
    /// may go: of another destination, or of its own too if its own are of no use to the caller.
    fn make_room(
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
        self.shelves.find(
            &entry.shelf,
            crate::values::options::ReuseOrder::Fifo,
            |_| true,
        )
    }

    fn exhausted(&self, limit: &'static str, max: u32) -> Refusal {
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
    pub(crate) fn dialed(&mut self, id: DestinationId, conn: &C) -> Result<(), Refusal> {
        if self.is_closed {
            self.dial_failed(id);
            return Err(Refusal::PoolClosed);
        }
        self.counters.dials += 1;
        self.dialing -= 1;
        self.borrowed += 1;
        let entry = self.entry(id);
        entry.dialing -= 1;
        entry.borrowed += 1;
        self.note_lifetime(conn);
        Ok(())
    }

    fn note_lifetime(&mut self, conn: &C) {
        if conn.retire_at() != Time::NEVER {
            self.retiring.insert((conn.retire_at(), conn.id()));
        }
    }

    /// A dial failed, or was given up.
    pub(crate) fn dial_failed(&mut self, id: DestinationId) {
        self.counters.dials += 1;
        self.counters.dial_failures += 1;
        self.dialing -= 1;
        self.entry(id).dialing -= 1;
        self.forget_if_empty(id);
    }

    /// A reused connection reached its borrower.
    pub(crate) fn reused(&mut self) {
        self.counters.reuses += 1;
    }

    fn end_borrow(&mut self, id: DestinationId) {
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

    /// The one way back.
    pub(crate) fn give_back(
        &mut self,
        id: DestinationId,
        conn: C,
        fate: Fate,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        self.end_borrow(id);
        match self.fate(id, &conn, fate, now) {
            Fate::Keep => {
                self.counters.releases += 1;
                self.shelve(conn, id, now);
            }
            Fate::Close(cause) => {
                self.close(conn, cause, effects);
                self.forget_if_empty(id);
            }
        }
    }

    fn fate(&mut self, id: DestinationId, conn: &C, fate: Fate, now: Time) -> Fate {
        if fate != Fate::Keep {
            return fate;
        }
        Fate::Close(if self.is_closed {
            Cause::PoolClosed
        } else if self.keeping.max_uses.is_some_and(|max| conn.uses() >= max) {
            Cause::MaxUses
        } else if conn.retire_at() <= now {
            Cause::Lifetime
        } else if self.no_idle_room(id).is_some() {
            Cause::IdleFull
        } else {
            return Fate::Keep;
        })
    }

    fn no_idle_room(&mut self, id: DestinationId) -> Option<Refusal> {
        let max = self.limits.max_idle_per_address;
        if self.entry(id).shelf.len() >= max {
            return Some(Refusal::IdleFull {
                limit: "max_idle_per_address",
                max,
            });
        }
        let max = self.limits.max_idle?;
        (self.shelves.len() >= max).then_some(Refusal::IdleFull {
            limit: "max_idle",
            max,
        })
    }

    /// The program gives the pool a connection of its own, which `build` makes once there is room to keep it. A refusal
    /// gives it back.
    pub(crate) fn admit<E: From<Refusal>>(
        &mut self,
        destination: &Arc<Destination>,
        build: impl FnOnce(DestinationId, Arc<Destination>) -> Result<C, E>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<(), (Option<C>, E)> {
        if self.is_closed {
            return Err((None, Refusal::PoolClosed.into()));
        }
        let id = self.find_or_add(destination);
        let admitted = self.admit_to(id, build, now, effects);
        if admitted.is_err() {
            self.forget_if_empty(id);
        }
        admitted
    }

    fn admit_to<E: From<Refusal>>(
        &mut self,
        id: DestinationId,
        build: impl FnOnce(DestinationId, Arc<Destination>) -> Result<C, E>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<(), (Option<C>, E)> {
        if let Some(refusal) = self.no_idle_room(id) {
            return Err((None, refusal.into()));
        }
        let destination = self.entry(id).destination.clone();
        let conn = build(id, destination.clone()).map_err(|error| (None, error))?;
        if let Err(refusal) = self.make_room(&destination, false, effects) {
            return Err((Some(conn), refusal.into()));
        }
        self.counters.puts += 1;
        self.note_lifetime(&conn);
        self.shelve(conn, id, now);
        Ok(())
    }

    /// A borrowed connection becomes the program's: the pool no longer counts it.
    pub(crate) fn forget(&mut self, id: DestinationId, conn: &C, how: Forgotten) {
        match how {
            Forgotten::Detached => self.counters.detached += 1,
            Forgotten::Got => self.counters.gets += 1,
        }
        self.retiring.remove(&(conn.retire_at(), conn.id()));
        self.end_borrow(id);
        self.forget_if_empty(id);
    }

    /// Closes the connection `id` if it still is idle, in node `node`, and `choose` agrees.
    pub(crate) fn remove_idle(
        &mut self,
        node: u32,
        id: u64,
        choose: impl FnOnce(&C) -> Option<Cause>,
        effects: &mut Effects<C>,
    ) {
        let Some(destination) = self.shelves.destination_of(node, id) else {
            return;
        };
        if let Some(cause) = self.shelves.held(node).and_then(choose) {
            self.close_idle_node(node, destination, cause, effects);
        }
    }

    /// Closes what has been idle for too long, and tells what else is due.
    pub(crate) fn reap(&mut self, now: Time, effects: &mut Effects<C>) -> Reaped {
        if let Some(timeout) = self.keeping.idle_timeout {
            while let Some((node, id, since)) = self.shelves.oldest() {
                if since.after(timeout) > now {
                    break;
                }
                self.close_idle_node(node, id, Cause::IdleTimeout, effects);
            }
        }
        let later = self.retiring.split_off(&(now, u64::MAX));
        let retired = std::mem::replace(&mut self.retiring, later);
        let (to_arm, arm_next) = self.look_for_unarmed(now);
        Reaped {
            retired: retired.into_iter().map(|(_, id)| id).collect(),
            to_arm,
            next: self.next_expiry().min(arm_next),
        }
    }

    fn next_expiry(&self) -> Time {
        let idle = match (self.keeping.idle_timeout, self.shelves.oldest()) {
            (Some(timeout), Some((_, _, since))) => since.after(timeout),
            _ => Time::NEVER,
        };
        let lifetime = self.retiring.first().map_or(Time::NEVER, |&(time, _)| time);
        idle.min(lifetime)
    }

    fn look_for_unarmed(&mut self, now: Time) -> (Vec<u64>, Time) {
        let mut to_arm = Vec::new();
        let mut next = Time::NEVER;
        self.shelves.newer_than(self.armed_up_to, |conn, since| {
            if !conn.wants_arming() {
            } else if since.after(ARM_AFTER) <= now {
                to_arm.push(conn.id());
            } else {
                next = since.after(ARM_AFTER);
            }
        });
        let seen = now.nanos().saturating_sub(ARM_AFTER.as_nanos() as u64);
        self.armed_up_to = self.armed_up_to.max(Time::from_nanos(seen));
        (to_arm, next)
    }

    /// When the engine has to look at a pool that just kept a connection: at most this late.
    pub(crate) fn due_after_keeping(&self, wants_arming: bool, retire_at: Time, now: Time) -> Time {
        let arm = if wants_arming {
            now.after(ARM_AFTER)
        } else {
            Time::NEVER
        };
        let idle = self
            .keeping
            .idle_timeout
            .map_or(Time::NEVER, |timeout| now.after(timeout));
        arm.min(idle).min(retire_at)
    }

    /// Closes everything that is idle.
    pub(crate) fn close_idle(&mut self, cause: Cause, effects: &mut Effects<C>) {
        while let Some((node, id, _)) = self.shelves.oldest() {
            self.close_idle_node(node, id, cause, effects);
        }
    }

    /// Closes the longest idle connection of all, to give its descriptor back to the system.
    pub(crate) fn close_longest_idle(&mut self, effects: &mut Effects<C>) -> bool {
        let oldest = self.shelves.oldest();
        if let Some((node, id, _)) = oldest {
            self.close_idle_node(node, id, Cause::Evicted, effects);
        }
        oldest.is_some()
    }

    /// From now on nothing is handed out and nothing is kept.
    pub(crate) fn end(&mut self, effects: &mut Effects<C>) {
        self.is_closed = true;
        self.close_idle(Cause::PoolClosed, effects);
    }

    /// Idle + borrowed.
    pub(crate) fn conn_count(&self) -> u32 {
        self.shelves.len() + self.borrowed
    }

    /// Of one address, whatever the tag; `None`: of all.
    pub(crate) fn idle_count(&self, address: Option<&Address>) -> u32 {
        match address {
            None => self.shelves.len(),
            Some(address) => self
                .entries
                .iter()
                .flatten()
                .filter(|entry| entry.destination.is_at(address))
                .map(|entry| entry.shelf.len())
                .sum(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            counters: self.counters.clone(),
            idle: self.shelves.len().into(),
            borrowed: self.borrowed.into(),
            dialing: self.dialing.into(),
            waiting: 0,
        }
    }
}

/// How a connection left the pool alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgotten {
    Detached,
    Got,
}
