//! Resolves names on threads of its own, behind callers that must not be held up.
//!
//! `lookup_queue` says which name is looked up when. A name that no dial waits for any more is not
//! looked up.
#![forbid(unsafe_code)]

use std::panic::{catch_unwind, AssertUnwindSafe};

use super::lookup::Lookup;
use super::lookup_queue::{LookupFn, LookupKey, LookupQueue, QueuedLookup};
use crate::sync::{Arc, Mutex};
use crate::sys::wake::Wake;
use crate::sys::{self, clock, fork};
use crate::thread_pool::ThreadPool;
use crate::values::clock::{Deadline, Time};
use crate::values::error::{Error, Status};

/// Resolves names, each on a thread of its own.
pub(crate) struct Resolver {
    /// The process that it belongs to (`sys::fork`).
    epoch: u32,
    threads: Arc<ThreadPool>,
    /// In which its lookups stand.
    lane: usize,
    /// Guards the lists of names. The lookups have their own locks, taken inside this one.
    queue: Mutex<LookupQueue>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// One dial's interest in a lookup, which ends with the value.
#[derive(Debug)]
pub(crate) struct LookupSubscription {
    resolver: &'static Resolver,
    key: LookupKey,
    lookup: Arc<Lookup>,
    /// This dial's `resolve` is what runs.
    is_own: bool,
    waker: Arc<dyn Wake>,
}

impl Resolver {
    /// Looks up `most` names at once, on that lane of `threads`.
    pub(crate) fn new(threads: Arc<ThreadPool>, lane: usize, most: usize) -> Self {
        Self {
            epoch: fork::epoch(),
            threads,
            lane,
            queue: Mutex::new(LookupQueue::new(most)),
        }
    }

    /// The first pool begins.
    pub(crate) fn start_remembering(&self) {
        self.queue.lock().start_remembering();
    }

    /// The last pool has ended: what is remembered is given back.
    pub(crate) fn forget_everything(&self) {
        self.queue.lock().forget_everything();
    }

    /// Asks for a name. `waker` is woken at every news of the lookup. `resolve` is dropped if the
    /// name is being looked up already.
    pub(crate) fn subscribe(
        &'static self,
        key: LookupKey,
        waker: Arc<dyn Wake>,
        deadline: Deadline,
        resolve: LookupFn,
    ) -> LookupSubscription {
        let now = clock::now();
        let mut queue = self.queue.lock();
        let in_flight = queue.find(&key);
        let is_own = in_flight.is_none();
        let lookup = in_flight.unwrap_or_else(|| queue.add(&key, deadline, now, resolve));
        lookup.subscribe(&waker);
        drop(queue);
        self.start_what_may(now);
        LookupSubscription {
            resolver: self,
            key,
            lookup,
            is_own,
            waker,
        }
    }

    fn start_what_may(&'static self, now: Time) {
        loop {
            let next = self.queue.lock().start_next(now);
            let Some(QueuedLookup {
                key,
                lookup,
                resolve,
            }) = next
            else {
                return;
            };
            let (failed, named) = (lookup.clone(), key.clone());
            let job = Box::new(move || self.run(&key, &lookup, resolve));
            if let Err((_, error)) = self.threads.submit(self.lane, job) {
                let errno = sys::errno(&error);
                let message = format!("no thread to resolve on: {}", sys::errno_text(errno));
                self.queue.lock().finish(&named);
                failed.end(Err(Error::new(Status::System, message).numbered(errno)));
            }
        }
    }

    fn run(&'static self, key: &LookupKey, lookup: &Arc<Lookup>, resolve: LookupFn) {
        // The thread may have come late: after the last dial that asked has left, and with it the
        // pool whose callback this is.
        if !self.finish_if_unwanted(key, lookup) {
            let result = catch_unwind(AssertUnwindSafe(|| resolve(lookup)))
                .unwrap_or_else(|panic| Err(Error::of_panic(&*panic)));
            if self.is_inherited() {
                return;
            }
            // Off the list before it ends: a dial that asks after this asks anew.
            self.queue.lock().finish_answered(key, clock::now());
            lookup.end(result);
        }
        self.start_what_may(clock::now());
    }

    fn finish_if_unwanted(&self, key: &LookupKey, lookup: &Lookup) -> bool {
        let mut queue = self.queue.lock();
        let is_wanted = lookup.is_awaited();
        if !is_wanted {
            queue.finish(key);
        }
        !is_wanted
    }

    /// A callback has forked, and this is the child: the queue may be locked for ever.
    fn is_inherited(&self) -> bool {
        fork::enter_if_forked(self.epoch)
    }
}

impl LookupSubscription {
    pub(crate) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// False if another dial asked first, so that the lookup has that dial's deadline.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Wakes `waker` instead of the one before.
    pub(crate) fn set_waker(&mut self, waker: Arc<dyn Wake>) {
        self.lookup.subscribe(&waker);
        self.lookup.unsubscribe(&self.waker);
        self.waker = waker;
    }

    /// While the name waits for a thread: when to call `start_what_may`, if nothing happens before.
    pub(crate) fn retry_at(&self, now: Time) -> Option<Time> {
        let queue = self.resolver.queue.lock();
        let is_waiting = queue.is_waiting(&self.key, &self.lookup);
        is_waiting.then(|| queue.next_change(now)).flatten()
    }

    /// Starts the lookups that may run by now.
    pub(crate) fn start_what_may(&self, now: Time) {
        self.resolver.start_what_may(now);
    }

    /// The dial's deadline passed while the name was being resolved.
    pub(crate) fn note_timeout(&self, now: Time) {
        self.resolver.queue.lock().note_timeout(&self.key, now);
        self.resolver.start_what_may(now);
    }
}

impl Drop for LookupSubscription {
    fn drop(&mut self) {
        if self.resolver.is_inherited() {
            return;
        }
        let mut queue = self.resolver.queue.lock();
        let is_last = self.lookup.unsubscribe(&self.waker);
        let canceled = is_last.then(|| queue.cancel(&self.key, &self.lookup));
        drop(queue);
        drop(canceled);
    }
}
