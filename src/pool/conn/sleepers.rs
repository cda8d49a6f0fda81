//! Who sleeps in a read, write or wait of which connection, so that a close or a new deadline can
//! wake them.
//!
//! One table for all connections instead of a list in each: a connection that nobody sleeps on pays
//! nothing. A waker's eventfd serves one sleeper after another, so that a wait costs one poll(2)
//! and no descriptor of its own; spare ones are kept while the process has a pool.
#![forbid(unsafe_code)]

use crate::handle::SlotId;
use crate::sync::{Arc, Mutex};
use crate::sys::fork::per_process::PerProcess;
use crate::sys::wake::{Wake, Waker};

/// A power of two; with so many locks, 64 sleeping threads rarely meet.
const STRIPES: usize = 64;
/// Descriptors that may lie idle: as many threads as are likely to sleep at once. A forked child
/// inherits them and cannot close them, so they are few.
const MOST_SPARE: usize = 16;

type Stripe = Mutex<Vec<Entry>>;

/// Sleeping threads' wakers, by connection.
#[derive(Debug)]
pub(crate) struct Sleepers {
    /// Each guards its own list; nothing else is locked meanwhile.
    stripes: [Stripe; STRIPES],
    /// Guards the wakers that nobody sleeps on; `None` while there is no pool.
    spare: Mutex<Option<Vec<Arc<Waker>>>>,
}

#[derive(Debug)]
struct Entry {
    slot: SlotId,
    waker: Arc<Waker>,
    /// The eventfd is readable, or about to be: it serves nobody else.
    is_used: bool,
}

/// Those of this process.
pub(crate) fn sleepers() -> &'static Sleepers {
    static SLEEPERS: PerProcess<Sleepers> = PerProcess::empty();
    SLEEPERS.get_or_make(|_| Sleepers::new(), drop)
}

impl Sleepers {
    fn new() -> Self {
        Self {
            stripes: [const { Mutex::new(Vec::new()) }; STRIPES],
            spare: Mutex::new(None),
        }
    }

    fn stripe(&self, slot: SlotId) -> &Stripe {
        &self.stripes[slot.to_bits() as usize % STRIPES]
    }

    /// The process has a pool: spare wakers are kept.
    pub(crate) fn keep_spare(&self) {
        self.spare.lock().get_or_insert_with(Vec::new);
    }

    /// Closes the spare descriptors, where the process has run out of them. False if there is none.
    pub(crate) fn release_spare(&self) -> bool {
        let spare = self.spare.lock().as_mut().map(std::mem::take);
        spare.is_some_and(|spare| !spare.is_empty())
    }

    /// The last pool has ended: no descriptor stays.
    pub(crate) fn drop_spare(&self) {
        let spare = self.spare.lock().take();
        drop(spare);
    }

    /// Announces a sleeper; it is gone when the value is dropped.
    pub(crate) fn announce(&self, slot: SlotId) -> Sleeper<'_> {
        let spare = self.spare.lock().as_mut().and_then(Vec::pop);
        let waker = spare.unwrap_or_default();
        self.stripe(slot).lock().push(Entry {
            slot,
            waker: waker.clone(),
            is_used: false,
        });
        Sleeper {
            sleepers: self,
            slot,
            waker,
        }
    }

    /// Wakes everyone who sleeps on that connection.
    pub(crate) fn wake(&self, slot: SlotId) {
        let mut entries = self.stripe(slot).lock();
        for entry in entries.iter_mut().filter(|entry| entry.slot == slot) {
            entry.is_used = true;
            entry.waker.wake();
        }
    }

    /// Takes it off the list; whether it was never woken.
    fn retire(&self, slot: SlotId, waker: &Arc<Waker>) -> bool {
        let mut entries = self.stripe(slot).lock();
        let is_it = |entry: &Entry| Arc::ptr_eq(&entry.waker, waker);
        let at = entries.iter().position(is_it);
        let entry = at.map(|at| entries.swap_remove(at));
        if entries.is_empty() {
            *entries = Vec::new();
        }
        entry.is_some_and(|entry| !entry.is_used)
    }

    /// Keeps it for the next sleeper, if there is room. It is on no list: nobody wakes it.
    fn keep(&self, waker: &Arc<Waker>) {
        match self.spare.lock().as_mut() {
            Some(spare) if spare.len() < MOST_SPARE => spare.push(waker.clone()),
            _ => {}
        }
    }
}

/// One announced sleeper.
#[derive(Debug)]
pub(crate) struct Sleeper<'a> {
    sleepers: &'a Sleepers,
    slot: SlotId,
    pub(crate) waker: Arc<Waker>,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if self.sleepers.retire(self.slot, &self.waker) {
            self.sleepers.keep(&self.waker);
        }
    }
}
