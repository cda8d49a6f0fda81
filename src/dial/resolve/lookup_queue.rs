//! Which name is looked up next. Pure state: the resolver holds it under its lock.
//!
//! A name that is asked for by many is looked up once. At most `most` names are looked up at once,
//! each on a thread of its own, and getaddrinfo(3) cannot be stopped, so names that hang must not
//! take all threads:
//!
//! | a name that | is | and starts while |
//! |---|---|---|
//! | answered when last asked | Good | a thread is free |
//! | timed out within the last minute | Slow | slow names hold less than half of the threads |
//! | neither | New | new names hold less than half of the threads that slow names leave |
//!
//! A name that has not answered within [`PATIENCE`], or of which a caller gave up, counts as slow
//! while it runs. So however many names hang, a part of the threads is left for the others. Of the
//! new names that wait for a thread the youngest goes first: its caller has most time left.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::lookup::Lookup;
use crate::sync::Arc;
use crate::values::clock::{Deadline, Time};
use crate::values::error::Result;

/// Healthy names answer sooner: a round trip across the world is 300 ms, and caches are near.
const PATIENCE: Duration = Duration::from_millis(500);
/// For so long a name that timed out counts as slow.
const SLOW_FOR: Duration = Duration::from_secs(60);
/// Names that are remembered as good or slow at the most.
const MOST_REMEMBERED: usize = 1024;

/// Whose resolver, and the name: 0 is the system's, others are pools with a resolve callback.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookupKey {
    pub(crate) owner: u64,
    pub(crate) name: String,
}

/// Resolves one name: adds to the lookup what comes one by one, returns what comes at once.
pub(crate) type LookupFn = Box<dyn FnOnce(&Arc<Lookup>) -> Result<Vec<SocketAddr>> + Send>;

/// A lookup that waits for a thread.
pub(super) struct QueuedLookup {
    pub(super) key: LookupKey,
    pub(super) lookup: Arc<Lookup>,
    pub(super) resolve: LookupFn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameRecord {
    Good,
    SlowUntil(Time),
}

#[derive(Debug)]
struct RunningLookup {
    key: LookupKey,
    since: Time,
    is_slow: bool,
}

/// What is known of a name when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameClass {
    Good,
    Slow,
    New,
}

const CLASSES: [NameClass; 3] = [NameClass::Good, NameClass::Slow, NameClass::New];

#[derive(Debug)]
struct SharedLookup {
    lookup: Arc<Lookup>,
    class: NameClass,
    /// Among those that wait; the youngest has the highest.
    number: u64,
}

/// The names that run, the names that wait, and what is remembered of both.
pub(super) struct LookupQueue {
    /// Names that are looked up at once.
    most: usize,
    /// Running and waiting.
    in_flight: BTreeMap<LookupKey, SharedLookup>,
    running: Vec<RunningLookup>,
    /// By class and number.
    waiting: [BTreeMap<u64, QueuedLookup>; CLASSES.len()],
    asked: u64,
    records: BTreeMap<LookupKey, NameRecord>,
    /// False without a pool: then nothing is remembered.
    remembers: bool,
}

impl LookupQueue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            in_flight: BTreeMap::new(),
            running: Vec::new(),
            waiting: Default::default(),
            asked: 0,
            records: BTreeMap::new(),
            remembers: false,
        }
    }

    /// The first pool begins.
    pub(super) fn start_remembering(&mut self) {
        self.remembers = true;
    }

    /// The last pool has ended.
    pub(super) fn forget_everything(&mut self) {
        self.remembers = false;
        self.records.clear();
        self.running.shrink_to_fit();
    }

    /// The lookup of that name that is in flight.
    pub(super) fn find(&self, key: &LookupKey) -> Option<Arc<Lookup>> {
        self.in_flight.get(key).map(|one| one.lookup.clone())
    }

    /// A new lookup, which waits for a thread.
    pub(super) fn add(
        &mut self,
        key: &LookupKey,
        deadline: Deadline,
        now: Time,
        resolve: LookupFn,
    ) -> Arc<Lookup> {
        let lookup = Arc::new(Lookup::new(deadline));
        let class = self.class(key, now);
        self.asked += 1;
        let number = self.asked;
        let shared = SharedLookup {
            lookup: lookup.clone(),
            class,
            number,
        };
        let queued = QueuedLookup {
            key: key.clone(),
            lookup: lookup.clone(),
            resolve,
        };
        self.in_flight.insert(key.clone(), shared);
        self.waiting[class as usize].insert(number, queued);
        lookup
    }

    /// Takes the next lookup that may start, which runs from here on.
    pub(super) fn start_next(&mut self, now: Time) -> Option<QueuedLookup> {
        let waiting = CLASSES.iter().filter_map(|&class| {
            let (&number, _) = self.waiting[class as usize].last_key_value()?;
            self.may_start(class, now).then_some((number, class))
        });
        let (number, class) = waiting.max_by_key(|&(number, _)| number)?;
        let next = self.waiting[class as usize].remove(&number)?;
        let is_slow = self.is_slow(&next.key, now);
        self.running.push(RunningLookup {
            key: next.key.clone(),
            since: now,
            is_slow,
        });
        Some(next)
    }

    /// Ends a lookup that runs: a dial that asks for the name after this starts a new one.
    pub(super) fn finish(&mut self, key: &LookupKey) {
        self.running.retain(|one| one.key != *key);
        self.in_flight.remove(key);
    }

    /// Ends a lookup that answered at last. A name that timed out meanwhile still is slow.
    pub(super) fn finish_answered(&mut self, key: &LookupKey, now: Time) {
        self.finish(key);
        if !self.is_slow(key, now) {
            self.remember(key.clone(), NameRecord::Good, now);
        }
    }

    /// Takes out a lookup for which no dial waits any more, unless it runs. To be dropped without
    /// the lock: it may hold the last reference to a pool's callbacks.
    pub(super) fn cancel(&mut self, key: &LookupKey, lookup: &Arc<Lookup>) -> Option<QueuedLookup> {
        if !self.is_waiting(key, lookup) {
            return None;
        }
        let SharedLookup { class, number, .. } = self.in_flight.remove(key)?;
        self.waiting[class as usize].remove(&number)
    }

    /// A caller's deadline passed. A name that never got a thread has not shown that it is slow.
    pub(super) fn note_timeout(&mut self, key: &LookupKey, now: Time) {
        let mut was_running = false;
        for running in self.running.iter_mut().filter(|one| one.key == *key) {
            running.is_slow = true;
            was_running = true;
        }
        if was_running {
            let slow = NameRecord::SlowUntil(now.after(SLOW_FOR));
            self.remember(key.clone(), slow, now);
        }
    }

    pub(super) fn is_waiting(&self, key: &LookupKey, lookup: &Arc<Lookup>) -> bool {
        self.in_flight.get(key).is_some_and(|one| {
            Arc::ptr_eq(&one.lookup, lookup)
                && self.waiting[one.class as usize].contains_key(&one.number)
        })
    }

    /// When a name that runs may begin to count as slow, which may let another one start.
    pub(super) fn next_change(&self, now: Time) -> Option<Time> {
        let not_slow = self.running.iter().filter(|one| !one.is_slow);
        not_slow
            .map(|one| one.since.after(PATIENCE))
            .filter(|&at| at > now)
            .min()
    }

    fn class(&self, key: &LookupKey, now: Time) -> NameClass {
        match self.records.get(key) {
            Some(NameRecord::Good) => NameClass::Good,
            Some(NameRecord::SlowUntil(until)) if *until > now => NameClass::Slow,
            _ => NameClass::New,
        }
    }

    fn may_start(&self, class: NameClass, now: Time) -> bool {
        let slow = self
            .running
            .iter()
            .filter(|one| one.is_slow || one.since.after(PATIENCE) <= now)
            .count();
        let other = self.running.len() - slow;
        match class {
            NameClass::Good => self.running.len() < self.most,
            NameClass::Slow => slow < self.most / 2 && self.running.len() < self.most,
            NameClass::New => other < self.most.saturating_sub(slow) / 2,
        }
    }

    fn is_slow(&self, key: &LookupKey, now: Time) -> bool {
        matches!(self.records.get(key), Some(NameRecord::SlowUntil(until)) if *until > now)
    }

    fn remember(&mut self, key: LookupKey, record: NameRecord, now: Time) {
        if !self.remembers {
            return;
        }
        if self.records.len() >= MOST_REMEMBERED && !self.records.contains_key(&key) {
            let is_slow =
                |record: &NameRecord| matches!(record, NameRecord::SlowUntil(at) if *at > now);
            self.records.retain(|_, record| is_slow(record));
            if self.records.len() >= MOST_REMEMBERED {
                return;
            }
        }
        self.records.insert(key, record);
    }
}
