//! Which names are being resolved, on which threads: a blocking resolver behind callers that must not be held up.
//!
//! A name that is asked for by many is looked up once. At most [`MOST_THREADS`] threads resolve, each holding one
//! name, and getaddrinfo(3) cannot be stopped, so names that hang must not take all of them:
//!
//! | a name that | is | and starts while |
//! |---|---|---|
//! | answered when last asked | Good | a thread is free |
//! | timed out within the last minute | Slow | slow names hold less than half of the threads |
//! | neither | New | new names hold less than half of the threads that slow names leave |
//!
//! A name that has not answered within [`PATIENCE`], or of which a caller gave up, counts as slow while it runs. So however
//! many names hang, a part of the threads is left for the others. Of the new names that wait for a thread the youngest
//! goes first: its caller has most time left. A name that nobody waits for any more is not looked up.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::lookup::Lookup;
use crate::sync::{Arc, Mutex};
use crate::sys::wake::Wake;
use crate::sys::{self, clock, fork};
use crate::thread_pool::{Helpers, MOST_THREADS};
use crate::values::clock::{Deadline, Time};
use crate::values::error::{Error, Result, Status};

/// Healthy names answer sooner: a round trip across the world is 300 ms, and caches are near.
const PATIENCE: Duration = Duration::from_millis(500);
/// For so long a name that timed out counts as slow.
const SLOW_FOR: Duration = Duration::from_secs(60);
/// So many names are remembered as good or slow.
const MOST_REMEMBERED: usize = 1024;

/// Whose resolver, and the name: 0 is the system's, others are pools with a resolve callback.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) owner: u64,
    pub(crate) name: String,
}

/// Resolves one name: adds to the lookup what comes one by one, returns what comes at once.
pub(crate) type Work = Box<dyn FnOnce(&Arc<Lookup>) -> Result<Vec<SocketAddr>> + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Good,
    SlowUntil(Time),
}

#[derive(Debug)]
struct Running {
    key: Key,
    since: Time,
    is_slow: bool,
}

struct Waiting {
    key: Key,
    lookup: Arc<Lookup>,
    work: Work,
}

/// What is known of a name when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Good,
    Slow,
    New,
}

const CLASSES: [Class; 3] = [Class::Good, Class::Slow, Class::New];

#[derive(Debug)]
struct InFlight {
    lookup: Arc<Lookup>,
    class: Class,
    /// Among those that wait; the youngest has the highest.
    number: u64,
}

#[derive(Default)]
struct Desk {
    in_flight: BTreeMap<Key, InFlight>,
    running: Vec<Running>,
    /// By class and number.
    waiting: [BTreeMap<u64, Waiting>; CLASSES.len()],
    asked: u64,
    records: BTreeMap<Key, Record>,
    /// There is a pool; without one nothing is remembered.
    is_wanted: bool,
}

/// See the module.
pub(crate) struct Resolver {
    /// The process that it belongs to (`sys::fork`).
    generation: u32,
    helpers: Helpers,
    /// Guards the lists of names; the lookups have their own locks, taken inside this one.
    desk: Mutex<Desk>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Desk {
    fn class(&self, key: &Key, now: Time) -> Class {
        match self.records.get(key) {
            Some(Record::Good) => Class::Good,
            Some(Record::SlowUntil(until)) if *until > now => Class::Slow,
            _ => Class::New,
        }
    }

    /// Whether names of that class may start now.
    fn may_start(&self, class: Class, now: Time) -> bool {
        let slow = self
            .running
            .iter()
            .filter(|one| one.is_slow || one.since.after(PATIENCE) <= now)
            .count();
        let other = self.running.len() - slow;
        match class {
            Class::Good => self.running.len() < MOST_THREADS,
            Class::Slow => slow < MOST_THREADS / 2 && self.running.len() < MOST_THREADS,
            Class::New => {
                let left = MOST_THREADS.saturating_sub(slow);
                other < left / 2
            }
        }
    }

    /// When a name that runs may begin to count as slow, which may let another one start.
    fn next_change(&self, now: Time) -> Option<Time> {
        let not_slow = self.running.iter().filter(|one| !one.is_slow);
        not_slow
            .map(|one| one.since.after(PATIENCE))
            .filter(|&at| at > now)
            .min()
    }

    fn next_to_start(&mut self, now: Time) -> Option<Waiting> {
        let waiting = CLASSES.iter().filter_map(|&class| {
            let (&number, _) = self.waiting[class as usize].last_key_value()?;
            self.may_start(class, now).then_some((number, class))
        });
        let (number, class) = waiting.max_by_key(|&(number, _)| number)?;
        self.waiting[class as usize].remove(&number)
    }

    fn is_waiting(&self, key: &Key, lookup: &Arc<Lookup>) -> bool {
        self.in_flight.get(key).is_some_and(|one| {
            Arc::ptr_eq(&one.lookup, lookup)
                && self.waiting[one.class as usize].contains_key(&one.number)
        })
    }

    /// It runs no more.
    fn forget(&mut self, key: &Key) {
        self.running.retain(|one| one.key != *key);
        self.in_flight.remove(key);
    }

    fn is_slow(&self, key: &Key, now: Time) -> bool {
        matches!(self.records.get(key), Some(Record::SlowUntil(until)) if *until > now)
    }

    /// A name has answered at last; one that timed out meanwhile still is slow.
    fn answered(&mut self, key: &Key, now: Time) {
        if !self.is_slow(key, now) {
            self.remember(key.clone(), Record::Good, now);
        }
    }

    fn remember(&mut self, key: Key, record: Record, now: Time) {
        if !self.is_wanted {
            return;
        }
        if self.records.len() >= MOST_REMEMBERED && !self.records.contains_key(&key) {
            self.records
                .retain(|_, record| matches!(record, Record::SlowUntil(until) if *until > now));
            if self.records.len() >= MOST_REMEMBERED {
                return;
            }
        }
        self.records.insert(key, record);
    }
}

/// One caller's interest in a lookup.
#[derive(Debug)]
pub(crate) struct Asked {
    resolver: &'static Resolver,
    key: Key,
    pub(crate) lookup: Arc<Lookup>,
    /// This caller's work is what runs.
    pub(crate) is_own: bool,
    waker: Arc<dyn Wake>,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self {
            generation: fork::generation(),
            helpers: Helpers::new("vcp-resolver", MOST_THREADS),
            desk: Mutex::new(Desk::default()),
        }
    }

    /// The first pool begins.
    pub(crate) fn wanted(&self) {
        self.helpers.wanted();
        self.desk.lock().is_wanted = true;
    }

    /// The last pool has ended: what is remembered is given back, and threads without work end now.
    pub(crate) fn not_wanted(&self) {
        self.helpers.not_wanted();
        let mut desk = self.desk.lock();
        desk.is_wanted = false;
        desk.records.clear();
        desk.running.shrink_to_fit();
    }

    /// Asks for a name; `waker` is woken at every progress of the lookup that this returns. `work` is dropped if somebody
    /// has asked already.
    pub(crate) fn ask(
        &'static self,
        key: Key,
        waker: Arc<dyn Wake>,
        deadline: Deadline,
        work: Work,
    ) -> Asked {
        let now = clock::now();
        let mut desk = self.desk.lock();
        let in_flight = desk.in_flight.get(&key).map(|one| one.lookup.clone());
        let is_own = in_flight.is_none();
        let lookup = match in_flight {
            Some(lookup) => lookup,
            None => {
                let lookup = Arc::new(Lookup::new(deadline));
                let class = desk.class(&key, now);
                desk.asked += 1;
                let number = desk.asked;
                let in_flight = InFlight {
                    lookup: lookup.clone(),
                    class,
                    number,
                };
                let waiting = Waiting {
                    key: key.clone(),
                    lookup: lookup.clone(),
                    work,
                };
                desk.in_flight.insert(key.clone(), in_flight);
                desk.waiting[class as usize].insert(number, waiting);
                lookup
            }
        };
        lookup.join(&waker);
        drop(desk);
        self.start_what_may(now);
        Asked {
            resolver: self,
            key,
            lookup,
            is_own,
            waker,
        }
    }

    fn start_what_may(&'static self, now: Time) {
        loop {
            let mut desk = self.desk.lock();
            let Some(next) = desk.next_to_start(now) else {
                return;
            };
            let is_slow = desk.is_slow(&next.key, now);
            desk.running.push(Running {
                key: next.key.clone(),
                since: now,
                is_slow,
            });
            drop(desk);
            let Waiting { key, lookup, work } = next;
            let (told, named) = (lookup.clone(), key.clone());
            let job = Box::new(move || self.resolve(key, &lookup, work));
            if let Err((_, error)) = self.helpers.try_run(job) {
                let errno = sys::errno(&error);
                let message = format!("no thread to resolve on: {}", sys::errno_text(errno));
                self.ended(&named, |_| {});
                told.end(Err(Error::new(Status::System, message).numbered(errno)));
            }
        }
    }

    fn resolve(&'static self, key: Key, lookup: &Arc<Lookup>, work: Work) {
        // The thread may have come late, after all who asked have left, and with them the pool whose callback this is.
        if !self.is_still_wanted(&key, lookup) {
            return self.start_what_may(clock::now());
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(lookup)))
            .unwrap_or_else(|_| Err(Error::new(Status::Internal, "the resolver panicked")));
        if self.is_inherited() {
            return;
        }
        let now = clock::now();
        // Off the list before it ends: whoever asks from now on asks anew.
        self.ended(&key, |desk| desk.answered(&key, now));
        lookup.end(result);
        self.start_what_may(now);
    }

    /// False, and off the lists, if nobody waits for it any more.
    fn is_still_wanted(&self, key: &Key, lookup: &Lookup) -> bool {
        let mut desk = self.desk.lock();
        let is_wanted = lookup.is_awaited();
        if !is_wanted {
            desk.forget(key);
        }
        is_wanted
    }

    fn ended(&self, key: &Key, note: impl FnOnce(&mut Desk)) {
        let mut desk = self.desk.lock();
        desk.forget(key);
        note(&mut desk);
    }

    /// A callback has forked, and this is the child: nothing of this desk is touched any more.
    fn is_inherited(&self) -> bool {
        fork::has_come_back_in_a_child(self.generation)
    }

    fn left(&'static self, asked: &Asked) {
        let mut desk = self.desk.lock();
        let is_last = asked.lookup.leave(&asked.waker);
        if is_last && desk.is_waiting(&asked.key, &asked.lookup) {
            if let Some(InFlight { class, number, .. }) = desk.in_flight.remove(&asked.key) {
                desk.waiting[class as usize].remove(&number);
            }
        }
    }
}

impl Asked {
    /// From now on that one is told instead.
    pub(crate) fn tell_instead(&mut self, waker: Arc<dyn Wake>) {
        self.lookup.join(&waker);
        self.lookup.leave(&self.waker);
        self.waker = waker;
    }

    /// While the name waits for a thread: when to `nudge`, if nothing happens before.
    pub(crate) fn nudge_at(&self, now: Time) -> Option<Time> {
        let desk = self.resolver.desk.lock();
        let is_waiting = desk.is_waiting(&self.key, &self.lookup);
        is_waiting.then(|| desk.next_change(now)).flatten()
    }

    /// Time has passed: what may start by now does.
    pub(crate) fn nudge(&self, now: Time) {
        self.resolver.start_what_may(now);
    }

    /// The caller's deadline passed while the name was being resolved.
    pub(crate) fn timed_out(&self, now: Time) {
        let mut desk = self.resolver.desk.lock();
        let mut was_running = false;
        for running in desk.running.iter_mut().filter(|one| one.key == self.key) {
            running.is_slow = true;
            was_running = true;
        }
        // One that never got a thread has not shown that it is slow.
        if was_running {
            desk.remember(
                self.key.clone(),
                Record::SlowUntil(now.after(SLOW_FOR)),
                now,
            );
        }
        drop(desk);
        self.resolver.start_what_may(now);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.resolver.is_inherited() {
            self.resolver.left(self);
        }
    }
}
