//! The slot table behind every C handle, and the one place that turns a C value into a reference.
//!
//! A handle is a number in a pointer's clothes: `generation << 27 | slot << 3 | kind`. It is never dereferenced. The kind
//! is never 0, so no aligned pointer of the program is a handle. Slots are mapped once and never unmapped, so looking at
//! a slot is always safe, whatever was passed in, in a forked child too; nothing here takes a lock.
//!
//! One word per slot holds everything that must change together (`word` has its bits):
//!
//! | state of a slot | LENT | FULL | who may reach the value |
//! |---|---|---|---|
//! | vacant | 0 | 0 | nobody; the slot is on the free list |
//! | owned | 0 | 1 | the one [`Owned`], and pins by [`Place`] |
//! | lent | 1 | 1 | pins by the handle of this generation, and by place |
//!
//! vacant → owned: `insert`; the generation goes up, so that no word of the slot ever comes twice. owned → lent: [`Owned::lend`] makes a handle that never was one before (the generation goes up).
//! lent → owned: `redeem` ends the handle and waits until its last user has left; [`Owned::lend_again`] alone makes the same one live
//! once more. owned → vacant: the [`Owned`] is dropped. What is shelved goes back and forth by itself (`shelved`). A slot whose generation is used up (2^37 - 1 borrows) is retired, so no handle value ever comes twice.
//!
//! In a forked child the first call has every table [`adopt`](Table::adopt) what it holds, before anything else looks at it: pins of
//! threads that exist only in the parent are taken off. Pools and tokens live on. Connections and lookups are left as they
//! are: their handles are closed, their slots never used again, and [`take_inherited`](Table::take_inherited) and
//! [`take_lent`](Table::take_lent) show each of them once more.
//!
//! This table stands below `pool`, not above it: a connection lives in its slot from dial to close, so that one number
//! names it to the C program, to epoll and to a forked child, and an idle connection costs no second allocation.

mod biased;
mod chunked;
pub(crate) mod fd_owners;
mod inherited;
mod pin;
mod slot_id;
pub(crate) mod word;

pub(crate) use self::biased::Trace;
pub(crate) use self::inherited::Inherited;
pub(crate) use self::pin::Pin;
pub(crate) use self::slot_id::Place;
pub(crate) use self::word::Absence;

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::ops::Deref;

use self::chunked::{Chunked, Zeroable};
use self::word::{
    AWAITED, FULL, GENERATION_ONE, GENERATION_SHIFT, LAST_GENERATION, LENT, ODD, PINS, SHELVED,
};
use crate::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sys::{fork, futex};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle needs the 64 bits of a pointer");

const KIND_BITS: u32 = 3;
const INDEX_BITS: u32 = 24;
const _: () = assert!(GENERATION_SHIFT == KIND_BITS + INDEX_BITS);

const MOST_SLOTS: u32 = 1 << INDEX_BITS;

/// What a handle stands for; the low bits of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Pool = 1,
    Conn = 2,
    Queue = 3,
    Cancel = 4,
    Resolved = 5,
    /// Never lent: a socket that is being connected.
    Flight = 7,
}

/// Why a value names nothing that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It never was a handle of this kind.
    Never,
    /// It was one, and is closed.
    Closed,
}

/// A type whose values live in a table of their own.
pub(crate) trait Kept: Sized + Send + Sync + 'static {
    /// The one table of this type.
    fn table() -> &'static Table<Self>;
}

/// What a borrow of a shelved value looks at comes first, within 32 bytes.
#[repr(C)]
struct Slot<T> {
    word: AtomicU64,
    card: Card,
    life: AtomicU32,
    /// The fork generation to which the value belongs, and see `inherited`.
    made_in: AtomicU32,
    value: std::cell::UnsafeCell<MaybeUninit<T>>,
}

/// What stands beside a value, so that it may be read at any time, whoever has the value: a slot is never unmapped.
struct Card {
    /// See `shelved`.
    since: AtomicU64,
    /// See `shelved`; in a vacant slot the next free one's index + 1.
    number: AtomicU32,
    /// The value's own, for as long as it is here.
    note: AtomicU32,
}

/// Slots that are never unmapped.
pub(crate) struct Table<T> {
    kind: Kind,
    slots: Chunked<Slot<T>>,
    /// How many slots were ever used.
    used: AtomicU32,
    /// `changes << 32 | index + 1` of the first free slot; the changes make a stale exchange fail (ABA).
    free: AtomicU64,
}

// SAFETY: zeroes are a vacant slot: word 0, life 0, nothing in the value.
unsafe impl<T: Send + Sync> Zeroable for Slot<T> {}

// SAFETY: the values are reached through pins and owners only, which hand out `&T`; `Kept` asks for Send + Sync.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T: Kept> Table<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            slots: Chunked::new(),
            used: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    /// A slot of which the caller knows that it exists, because an index of it was handed out.
    fn known(&'static self, index: u32) -> &'static Slot<T> {
        match self.slots.get(index) {
            Some(slot) => slot,
            None => unreachable!("slot {index} was handed out, so it is mapped"),
        }
    }

    fn pop_free(&'static self) -> Option<u32> {
        let mut head = self.free.load(Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let next = self.known(index).card.number.load(Relaxed);
            let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(next);
            match self.free.compare_exchange_weak(head, new, AcqRel, Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    fn push_free(&'static self, index: u32) {
        let slot = self.known(index);
        let mut head = self.free.load(Relaxed);
        loop {
            slot.card.number.store(head as u32, Relaxed);
            let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(index + 1);
            match self.free.compare_exchange_weak(head, new, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn take_new(&'static self) -> io::Result<u32> {
        let mut index = self.used.load(Relaxed);
        loop {
            if index >= MOST_SLOTS {
                return Err(io::Error::from_raw_os_error(libc::ENOMEM));
            }
            self.slots.get_or_map(index)?;
            match self
                .used
                .compare_exchange_weak(index, index + 1, AcqRel, Relaxed)
            {
                Ok(_) => return Ok(index),
                Err(now) => index = now,
            }
        }
    }

    /// Puts a value into a vacant slot; gives it back when there is no memory.
    pub(crate) fn insert(&'static self, value: T) -> Result<Owned<T>, (T, io::Error)> {
        let index = match self.pop_free().map_or_else(|| self.take_new(), Ok) {
            Ok(index) => index,
            Err(error) => return Err((value, error)),
        };
        let slot = self.known(index);
        // SAFETY: the slot is vacant and off the free list, so this thread alone reaches its value.
        unsafe { (*slot.value.get()).write(value) };
        slot.made_in.store(fork::generation(), Relaxed);
        slot.word.fetch_add(GENERATION_ONE + FULL, Release);
        Ok(Owned::at(index))
    }

    /// Splits a C value into slot and generation, or says that it never was a handle of this table.
    fn decode(&'static self, handle: usize) -> Result<(u32, &'static Slot<T>, u64), Stale> {
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

    /// The same for those who know a value by its place, lent or not.
    pub(crate) fn pin_place(&'static self, place: Place) -> Option<Pin<T>> {
        if place.index >= self.used.load(Acquire) {
            return None;
        }
        let slot = self.slots.get(place.index)?;
        let mut word = slot.word.load(Relaxed);
        loop {
            if word & FULL == 0 {
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
            index: place.index,
        };
        // Pinned, so the life does not change any more.
        (slot.life.load(Relaxed) == place.life).then_some(pin)
    }

    /// Shows every value that is in the table now, lent or not; one that comes or goes meanwhile may be missed.
    pub(crate) fn each(&'static self, mut show: impl FnMut(&Pin<T>)) {
        for index in 0..self.used.load(Acquire) {
            let life = self.known(index).life.load(Relaxed);
            if let Some(pin) = self.pin_place(Place { index, life }) {
                show(&pin);
            }
        }
    }

    /// Ends a handle and takes the value back. If others are using it right now, `kick` is told to make them leave (it
    /// may be called without need), and the call returns when the last one has.
    pub(crate) fn redeem(
        &'static self,
        handle: usize,
        kick: impl FnOnce(&T),
    ) -> Result<Owned<T>, Stale> {
        let (index, slot, generation) = self.decode(handle)?;
        let word = word::redeem(&slot.word, generation).map_err(|word| {
            let is_over = word >> GENERATION_SHIFT != generation || word & LENT == 0;
            debug_assert!(is_over, "called in first (`shelved`)");
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

impl<T> Slot<T> {
    fn place(&self, index: u32) -> Place {
        let life = self.life.load(Relaxed);
        Place { index, life }
    }

    /// The value belongs to a parent process, and was not adopted.
    fn is_inherited(&self) -> bool {
        self.made_in.load(Relaxed) != fork::generation()
    }

    /// Called by the owner alone.
    fn wait_until_unpinned(&self) {
        let mut word = self.word.load(Acquire);
        while word & PINS != 0 {
            if word & AWAITED == 0 {
                word = self.word.fetch_or(AWAITED, Acquire) | AWAITED;
            } else {
                futex::wait(&self.word, word);
                word = self.word.load(Acquire);
            }
        }
        self.word.fetch_and(!AWAITED, Relaxed);
    }

    fn unpin(&self) {
        let before = self.word.fetch_sub(1, Release);
        if before & AWAITED != 0 && before & PINS == 1 {
            futex::wake_all(&self.word);
        }
    }

    /// # Safety
    /// The slot must be FULL, and stay so while the reference lives: the caller owns or pins it.
    unsafe fn value(&self) -> &T {
        // SAFETY: initialised by `insert` before FULL was set.
        unsafe { (*self.value.get()).assume_init_ref() }
    }
}

/// The right to a value in its slot, as `Box` is to one on the heap. Others may look at the value through pins, so it
/// gives out shared references only; dropping it waits for them.
#[derive(Debug)]
pub(crate) struct Owned<T: Kept> {
    /// The slot's index + 1, so that an `Option` of it is no bigger.
    number: NonZeroU32,
    kept: PhantomData<T>,
}

impl<T: Kept> Owned<T> {
    fn at(index: u32) -> Self {
        Self {
            number: NonZeroU32::MIN.saturating_add(index),
            kept: PhantomData,
        }
    }

    fn index(&self) -> u32 {
        self.number.get() - 1
    }

    fn slot(&self) -> &'static Slot<T> {
        T::table().known(self.index())
    }

    /// Gives the value to the holder of the handle that this returns, and that no one had before.
    pub(crate) fn lend(self) -> usize {
        let slot = self.slot();
        let before = word::lend(&slot.word);
        debug_assert!(before & LENT == 0 && before & FULL != 0 && !self.is_worn_at(before));
        self.lent_as(before + GENERATION_ONE)
    }

    /// The same under the handle of the last time, which is live again.
    pub(crate) fn lend_again(self) -> usize {
        let slot = self.slot();
        let before = slot.word.fetch_or(LENT, Release);
        debug_assert!(before & LENT == 0 && before & FULL != 0 && before >> GENERATION_SHIFT > 0);
        self.lent_as(before)
    }

    fn lent_as(self, word: u64) -> usize {
        let handle = (word >> GENERATION_SHIFT) << GENERATION_SHIFT
            | u64::from(self.index()) << KIND_BITS
            | T::table().kind as u64;
        std::mem::forget(self);
        handle as usize
    }

    fn is_worn_at(&self, word: u64) -> bool {
        word >> GENERATION_SHIFT == LAST_GENERATION
    }

    /// True when the slot has no generation left: the value can be looked at, but not lent again.
    pub(crate) fn is_worn(&self) -> bool {
        self.is_worn_at(self.slot().word.load(Relaxed))
    }

    pub(crate) fn place(&self) -> Place {
        self.slot().place(self.index())
    }

    /// It was made before a fork, by a call that goes on in the child: its slot is not this owner's any more.
    pub(crate) fn is_inherited(&self) -> bool {
        self.slot().is_inherited()
    }

    /// Moves the value out, once nobody looks at it any more.
    pub(crate) fn into_inner(self) -> T {
        let value = self.vacate();
        std::mem::forget(self);
        value
    }

    fn vacate(&self) -> T {
        let table = T::table();
        let slot = self.slot();
        // No new pin can begin by handle (not LENT); those by place end soon.
        let mut word = slot.word.load(Acquire);
        loop {
            if word & PINS != 0 {
                slot.wait_until_unpinned();
                word = slot.word.load(Acquire);
                continue;
            }
            match slot.word.compare_exchange_weak(
                word,
                word & !(FULL | AWAITED | SHELVED | ODD),
                AcqRel,
                Acquire,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        // SAFETY: vacant now and not yet on the free list: this thread alone reaches the value, which was initialised.
        let value = unsafe { (*slot.value.get()).assume_init_read() };
        slot.life.fetch_add(1, Relaxed);
        // The next insertion takes one generation, the first loan another.
        if word >> GENERATION_SHIFT < LAST_GENERATION - 1 {
            table.push_free(self.index());
        }
        value
    }
}

impl<T: Kept> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: an owner's slot is FULL until the owner is gone.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    macro_rules! kept {
        ($name:ident($field:ty)) => {
            #[derive(Debug)]
            #[allow(dead_code)]
            struct $name($field);
            impl Kept for $name {
                fn table() -> &'static Table<Self> {
                    static TABLE: Table<$name> = Table::new(Kind::Conn);
                    &TABLE
                }
            }
            #[allow(dead_code)]
            impl $name {
                fn insert(value: $field) -> Owned<Self> {
                    Self::table()
                        .insert(Self(value))
                        .map_err(|(_, error)| error)
                        .expect("there is memory")
                }
                fn pin(handle: usize) -> Result<Pin<Self>, Stale> {
                    Self::table().pin(handle)
                }
                fn redeem(handle: usize) -> Result<Owned<Self>, Stale> {
                    Self::table().redeem(handle, |_| {})
                }
            }
        };
    }

    #[test]
    fn a_closed_handle_never_matches_again() {
        kept!(Value(u32));
        let first = Value::insert(7).lend();
        assert_eq!(Value::pin(first).expect("live").0, 7);
        let owned = Value::redeem(first).expect("live");
        assert_eq!(Value::pin(first).err(), Some(Stale::Closed));
        let second = owned.lend();
        assert_ne!(first, second);
        assert_eq!(Value::redeem(first).err(), Some(Stale::Closed));
        drop(Value::redeem(second).expect("live"));
        let third = Value::insert(8).lend();
        for old in [first, second] {
            assert_eq!(Value::pin(old).err(), Some(Stale::Closed));
        }
        assert_eq!(Value::pin(third).expect("live").0, 8);
        drop(Value::redeem(third));
    }

    #[test]
    fn a_handle_that_was_taken_back_can_be_lent_again() {
        kept!(Value(u32));
        let handle = Value::insert(7).lend();
        let owned = Value::redeem(handle).expect("live");
        assert_eq!(Value::pin(handle).err(), Some(Stale::Closed));
        assert_eq!(owned.lend_again(), handle);
        assert_eq!(Value::pin(handle).expect("live").0, 7);
        drop(Value::redeem(handle).expect("live"));
        assert_ne!(Value::insert(8).lend(), handle);
    }

    #[test]
    fn garbage_is_told_from_closed_handles_where_it_can_be() {
        kept!(Value(u32));
        let live = Value::insert(1).lend();
        let on_the_stack = 0u64;
        let address: *const u64 = &on_the_stack;
        for garbage in [
            0,
            1,
            2,
            address as usize,
            usize::MAX,
            0xdead_beef,
            live ^ 1,
            live + GENERATION_ONE as usize,
        ] {
            assert_eq!(
                Value::pin(garbage).err(),
                Some(Stale::Never),
                "{garbage:#x}"
            );
            assert_eq!(
                Value::redeem(garbage).err(),
                Some(Stale::Never),
                "{garbage:#x}"
            );
        }
        drop(Value::redeem(live));
    }

    #[test]
    fn a_place_names_one_life_of_a_slot() {
        kept!(Value(u32));
        let owned = Value::insert(1);
        let place = Place::from_bits(owned.place().to_bits());
        assert_eq!(Value::table().pin_place(place).expect("alive").0, 1);
        drop(owned);
        assert!(Value::table().pin_place(place).is_none());
        let next = Value::insert(2);
        assert_eq!(next.place().index, place.index);
        assert!(Value::table().pin_place(place).is_none());
    }

    #[test]
    fn a_worn_slot_is_retired() {
        kept!(Value(u32));
        let owned = Value::insert(1);
        let index = owned.index();
        let slot = Value::table().known(index);
        slot.word
            .fetch_add((LAST_GENERATION - 2) << GENERATION_SHIFT, Relaxed);
        let owned = Value::redeem(owned.lend()).expect("live");
        assert!(owned.is_worn());
        drop(owned);
        assert_ne!(Value::insert(2).index(), index);
    }

    #[test]
    fn the_owner_sees_a_slot_that_is_often_lent_without_it() {
        kept!(Value(u32));
        fork::enter(|_| {});
        for turns in [1 << 24, 1 << 32, LAST_GENERATION + 1] {
            let owned = Value::insert(1);
            let slot = owned.slot();
            let so_far = slot.word.load(Relaxed) >> GENERATION_SHIFT;
            slot.word
                .fetch_add((turns - 4 - so_far) << GENERATION_SHIFT, Relaxed);
            owned.shelve(3, false);
            let [mut trace, _] = owned.traces(1);
            assert!(trace.offer(|| 0).is_some());
            let handle = trace.borrow().expect("two go by");
            assert!(Value::table().return_shelved(handle, 0));
            let last = trace.borrow().expect("one more");
            assert!(Value::table().return_shelved(last, 0));
            assert!(trace.offer(|| 0).is_some());
            assert_eq!(trace.borrow(), None, "the next one is its owner's");
            owned.hold(0);
            let owned = Value::redeem(owned.lend()).expect("live");
            assert_eq!(owned.is_worn(), turns > LAST_GENERATION);
        }
    }

    #[test]
    fn every_value_is_dropped_once_and_slots_are_used_again() {
        kept!(Value(Arc<()>));
        let count = Arc::new(());
        for _ in 0..3 {
            let owned: Vec<_> = (0..1000).map(|_| Value::insert(count.clone())).collect();
            assert_eq!(Arc::strong_count(&count), 1001);
            drop(owned);
            assert_eq!(Arc::strong_count(&count), 1);
        }
        assert_eq!(Value::table().used.load(Relaxed), 1000);
    }

    #[test]
    fn closing_waits_for_the_one_who_is_inside() {
        kept!(Value(crate::sync::atomic::AtomicU32));
        let handle = Value::insert(AtomicU32::new(0)).lend();
        let pin = Value::pin(handle).expect("live");
        let inside = std::thread::spawn(move || {
            while pin.0.load(Acquire) == 0 {
                std::thread::yield_now();
            }
            pin.0.store(2, Release);
        });
        let owned = Value::table()
            .redeem(handle, |value| value.0.store(1, Release))
            .expect("live");
        assert_eq!(owned.0.load(Acquire), 2);
        inside.join().expect("no panic");
    }

    #[test]
    fn of_many_threads_that_close_one_handle_one_succeeds() {
        kept!(Value(u32));
        for _ in 0..200 {
            let handle = Value::insert(1).lend();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    std::thread::spawn(move || {
                        drop(Value::pin(handle));
                        Value::redeem(handle).is_ok()
                    })
                })
                .collect();
            let closed = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            assert_eq!(closed.filter(|&won| won).count(), 1);
        }
    }
}
