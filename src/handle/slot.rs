//! One slot: a word that holds everything that must change together, and the value beside it.

use std::mem::MaybeUninit;

use super::chunked::Zeroable;
use super::word::{HAS_WAITER, PINS};
use super::SlotId;
use crate::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sys::{fork, futex};

/// What the fast path reads before it borrows comes first, within 32 bytes. All but the value may
/// be read at any time by any thread, because a slot is never unmapped.
#[repr(C)]
pub(super) struct Slot<T> {
    pub(super) word: AtomicU64,
    /// Of a biased value: since when it has been idle, in nanoseconds.
    pub(super) idle_since: AtomicU64,
    /// Of a biased value: its descriptor and whether to peek (`biased`). In a vacant slot: the next
    /// free one's index + 1.
    pub(super) info: AtomicU32,
    /// The owner's own number for the value.
    pub(super) owner_data: AtomicU32,
    /// How many values the slot has had.
    pub(super) epoch: AtomicU32,
    /// The process epoch to which the value belongs, and see `inherited`.
    pub(super) made_in: AtomicU32,
    /// Of a value that came from its pool: how long it had been idle before this loan, in
    /// nanoseconds.
    pub(super) idle_before: AtomicU64,
    pub(super) value: std::cell::UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: zeroes are a vacant slot: word 0, epoch 0, nothing in the value.
unsafe impl<T: Send + Sync> Zeroable for Slot<T> {}

// SAFETY: the values are reached through pins and owners only, which hand out `&T`; `Kept` asks for
// Send + Sync.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(super) fn slot_id(&self, index: u32) -> SlotId {
        let epoch = self.epoch.load(Relaxed);
        SlotId { index, epoch }
    }

    /// The value belongs to a parent process, and was not adopted.
    pub(super) fn is_inherited(&self) -> bool {
        self.made_in.load(Relaxed) != fork::epoch()
    }

    /// Called by the owner alone.
    pub(super) fn wait_until_unpinned(&self) {
        let mut word = self.word.load(Acquire);
        while word & PINS != 0 {
            if word & HAS_WAITER == 0 {
                word = self.word.fetch_or(HAS_WAITER, Acquire) | HAS_WAITER;
            } else {
                futex::wait(&self.word, word);
                word = self.word.load(Acquire);
            }
        }
        self.word.fetch_and(!HAS_WAITER, Relaxed);
    }

    pub(super) fn unpin(&self) {
        let before = self.word.fetch_sub(1, Release);
        if before & HAS_WAITER != 0 && before & PINS == 1 {
            futex::wake_all(&self.word);
        }
    }

    /// # Safety
    /// The slot must be OCCUPIED, and stay so while the reference lives: the caller owns or pins
    /// it.
    pub(super) unsafe fn value(&self) -> &T {
        // SAFETY: initialised by `insert` before OCCUPIED was set.
        unsafe { (*self.value.get()).assume_init_ref() }
    }
}
