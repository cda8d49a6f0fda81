//! All slots of one type, and the free list that links the vacant ones.

use super::chunked::Chunked;
use super::slot::Slot;
use super::word::{self, GENERATION_ONE, GENERATION_SHIFT, LENT, OCCUPIED, PINS};
use super::{HandleKind, Kept, Owned, Pin, SlotId, Stale, INDEX_BITS, KIND_BITS, MOST_SLOTS};
use crate::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sys::fork;

/// Slots that are never unmapped.
pub(crate) struct Table<T> {
    pub(super) kind: HandleKind,
    pub(super) slots: Chunked<Slot<T>>,
    /// How many slots were ever used.
    pub(super) used: AtomicU32,
    /// `changes << 32 | index + 1` of the first free slot; the changes make a stale exchange fail
    /// (ABA).
    pub(super) free: AtomicU64,
}

impl<T: Kept> Table<T> {
    pub(crate) const fn new(kind: HandleKind) -> Self {
        Self {
            kind,
            slots: Chunked::new(),
            used: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    /// A slot of which the caller knows that it exists, because an index of it was handed out.
    pub(super) fn known(&'static self, index: u32) -> &'static Slot<T> {
        match self.slots.get(index) {
            Some(slot) => slot,
            None => unreachable!("slot {index} was handed out, so it is mapped"),
        }
    }

    fn pop_free(&'static self) -> Option<u32> {
        let mut head = self.free.load(Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let next = self.known(index).info.load(Relaxed);
            let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(next);
            match self.free.compare_exchange_weak(head, new, AcqRel, Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    pub(super) fn push_free(&'static self, index: u32) {
        let slot = self.known(index);
        let mut head = self.free.load(Relaxed);
        loop {
            slot.info.store(head as u32, Relaxed);
            let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(index + 1);
            match self.free.compare_exchange_weak(head, new, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn take_new(&'static self) -> Option<u32> {
        let mut index = self.used.load(Relaxed);
        loop {
            if index >= MOST_SLOTS {
                return None;
            }
            self.slots.get_or_map(index)?;
            match self
                .used
                .compare_exchange_weak(index, index + 1, AcqRel, Relaxed)
            {
                Ok(_) => return Some(index),
                Err(now) => index = now,
            }
        }
    }

    /// Puts a value into a vacant slot; gives it back when there is no memory.
    pub(crate) fn insert(&'static self, value: T) -> Result<Owned<T>, T> {
        let Some(index) = self.pop_free().or_else(|| self.take_new()) else {
            return Err(value);
        };
        let slot = self.known(index);
        // SAFETY: the slot is vacant and off the free list, so this thread alone reaches its value.
        unsafe { (*slot.value.get()).write(value) };
        slot.made_in.store(fork::epoch(), Relaxed);
        slot.word.fetch_add(GENERATION_ONE + OCCUPIED, Release);
        Ok(Owned::at(index))
    }

    /// Splits a C value into slot and generation, or says that it never was a handle of this table.
    pub(super) fn decode(
        &'static self,
        handle: usize,
    ) -> Result<(u32, &'static Slot<T>, u64), Stale> {
        let bits = handle as u64;
        if bits & ((1 << KIND_BITS) - 1) != self.kind as u64 {
            return Err(Stale::Never);
        }
        let index = (bits >> KIND_BITS) as u32 & ((1 << INDEX_BITS) - 1);
        let generation = bits >> GENERATION_SHIFT;
        if generation == 0 || index >= self.used.load(Acquire) {
            return Err(Stale::Never);
        }
        Ok((
            index,
            self.slots.get(index).ok_or(Stale::Never)?,
            generation,
        ))
    }

    fn stale(word: u64, generation: u64) -> Stale {
        if generation > word >> GENERATION_SHIFT {
            Stale::Never
        } else {
            Stale::Closed
        }
    }

    /// Keeps the value that a handle names where it is for as long as the pin lives.
    pub(crate) fn pin(&'static self, handle: usize) -> Result<Pin<T>, Stale> {
        let (index, slot, generation) = self.decode(handle)?;
        let mut word = slot.word.load(Relaxed);
        loop {
            if word >> GENERATION_SHIFT != generation || word & LENT == 0 {
                return Err(Self::stale(word, generation));
            }
            match slot
                .word
                .compare_exchange_weak(word, word + 1, Acquire, Relaxed)
            {
                Ok(_) => return Ok(Pin { slot, index }),
                Err(now) => word = now,
            }
        }
    }

    /// Keeps the value that a slot id names where it is, lent or not.
    pub(crate) fn pin_slot(&'static self, id: SlotId) -> Option<Pin<T>> {
        let slot = self.slots.get(id.index)?;
        let mut word = slot.word.load(Relaxed);
        loop {
            if word & OCCUPIED == 0 {
                return None;
            }
            match slot
                .word
                .compare_exchange_weak(word, word + 1, Acquire, Relaxed)
            {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        let pin = Pin {
            slot,
            index: id.index,
        };
        // Pinned, so the epoch does not change any more.
        (slot.epoch.load(Relaxed) == id.epoch).then_some(pin)
    }

    /// Shows every value that is in the table now, lent or not; one that comes or goes meanwhile
    /// may be missed.
    pub(crate) fn each(&'static self, mut show: impl FnMut(&Pin<T>)) {
        for index in 0..self.used.load(Acquire) {
            let epoch = self.known(index).epoch.load(Relaxed);
            if let Some(pin) = self.pin_slot(SlotId { index, epoch }) {
                show(&pin);
            }
        }
    }

    /// Ends a handle and takes the value back. If others are using it right now, `kick` is told to
    /// make them leave (it may be called without need), and the call returns when the last one has.
    pub(crate) fn take_back(
        &'static self,
        handle: usize,
        kick: impl FnOnce(&T),
    ) -> Result<Owned<T>, Stale> {
        let (index, slot, generation) = self.decode(handle)?;
        let word = word::take_back(&slot.word, generation).map_err(|word| {
            let is_over = word >> GENERATION_SHIFT != generation || word & LENT == 0;
            debug_assert!(is_over, "revoked first (`biased`)");
            Self::stale(word, generation)
        })?;
        let owned = Owned::at(index);
        if word & PINS != 0 {
            kick(&owned);
            slot.wait_until_unpinned();
        }
        Ok(owned)
    }
}
