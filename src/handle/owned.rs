//! The right to a value in its slot, as `Box` is to one on the heap.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Deref;

use super::slot::Slot;
use super::word::{
    self, BIASED, FORCE_SLOW, GENERATION_ONE, GENERATION_SHIFT, HAS_WAITER, LAST_GENERATION, LENT,
    OCCUPIED, PINS,
};
use super::{Kept, SlotId, KIND_BITS};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The right to a value in its slot, as `Box` is to one on the heap. Others may look at the value
/// through pins, so it gives out shared references only; dropping it waits for them.
#[derive(Debug)]
pub(crate) struct Owned<T: Kept> {
    /// The slot's index + 1, so that an `Option` of it is no bigger.
    number: NonZeroU32,
    kept: PhantomData<T>,
}

impl<T: Kept> Owned<T> {
    pub(super) fn at(index: u32) -> Self {
        Self {
            number: NonZeroU32::MIN.saturating_add(index),
            kept: PhantomData,
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.number.get() - 1
    }

    pub(super) fn slot(&self) -> &'static Slot<T> {
        T::table().known(self.index())
    }

    /// Gives the value to the holder of the handle that this returns, and that no one had before.
    pub(crate) fn lend(self) -> usize {
        let slot = self.slot();
        let before = word::lend(&slot.word);
        debug_assert!(
            before & LENT == 0 && before & OCCUPIED != 0 && !self.is_exhausted_at(before)
        );
        self.lent_as(before + GENERATION_ONE)
    }

    /// Gives the value to the holder of the handle of the last time, which is live again.
    pub(crate) fn lend_again(self) -> usize {
        let slot = self.slot();
        let before = slot.word.fetch_or(LENT, Release);
        debug_assert!(
            before & LENT == 0 && before & OCCUPIED != 0 && before >> GENERATION_SHIFT > 0
        );
        self.lent_as(before)
    }

    fn lent_as(self, word: u64) -> usize {
        let handle = (word >> GENERATION_SHIFT) << GENERATION_SHIFT
            | u64::from(self.index()) << KIND_BITS
            | T::table().kind as u64;
        std::mem::forget(self);
        handle as usize
    }

    fn is_exhausted_at(&self, word: u64) -> bool {
        word >> GENERATION_SHIFT == LAST_GENERATION
    }

    /// True when the slot has no generation left: the value can be looked at, but not lent again.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_exhausted_at(self.slot().word.load(Relaxed))
    }

    pub(crate) fn slot_id(&self) -> SlotId {
        self.slot().slot_id(self.index())
    }

    /// It was made before a fork, by a call that goes on in the child: its slot is not this owner's
    /// any more.
    pub(crate) fn is_inherited(&self) -> bool {
        self.slot().is_inherited()
    }

    /// Moves the value out, once nothing looks at it any more.
    pub(crate) fn into_inner(self) -> T {
        let Some(value) = self.vacate() else {
            unreachable!("its owner was told that it is out, and has only to forget it");
        };
        std::mem::forget(self);
        value
    }

    /// `None` for a value that is lent: it is its borrower's, and stays. The exchange that makes
    /// the slot vacant names the whole word, so a value cannot be lent meanwhile.
    fn vacate(&self) -> Option<T> {
        let slot = self.slot();
        let mut word = slot.word.load(Acquire);
        loop {
            if word & LENT != 0 {
                return None;
            }
            if word & PINS != 0 {
                // No pin can begin by handle (not LENT); those by slot id end soon.
                slot.wait_until_unpinned();
                word = slot.word.load(Acquire);
                continue;
            }
            let vacant = word & !(OCCUPIED | HAS_WAITER | BIASED | FORCE_SLOW);
            let exchanged = slot
                .word
                .compare_exchange_weak(word, vacant, AcqRel, Acquire);
            match exchanged {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        // SAFETY: vacant now and not yet on the free list: this thread alone reaches the value,
        // which was initialised.
        let value = unsafe { (*slot.value.get()).assume_init_read() };
        slot.epoch.fetch_add(1, Relaxed);
        // The next insertion takes one generation, the first loan another.
        if word >> GENERATION_SHIFT < LAST_GENERATION - 1 {
            T::table().push_free(self.index());
        }
        Some(value)
    }
}

impl<T: Kept> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: an owner's slot is OCCUPIED until the owner is gone.
        unsafe { self.slot().value() }
    }
}

impl<T: Kept> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_inherited() {
            drop(self.vacate());
        }
    }
}
