//! The fast path: biased borrowing with revocation, as the JVM's biased locks.
//!
//! A lock that one thread takes again and again may be biased towards it: taking it is then one
//! compare-exchange or none, and any other thread that wants the lock revokes the bias first. An
//! idle connection is the same: mostly the thread that gave it back borrows it next. So a pool
//! biases an idle connection: from then on a thread that knows the slot's word ([`CachedSlot`])
//! borrows it by one compare-exchange, and gives it back by another, without the pool's lock. The
//! pool still lists it as idle, and revokes the bias under its lock before it does anything else
//! with it.
//!
//! | a slot's word | means | set by |
//! |---|---|---|
//! | BIASED | idle; a thread that knows the word may borrow it | owner: [`Owned::bias`] |
//! | BIASED, LENT | out; the pool still lists it as idle | borrower: [`CachedSlot::borrow`] |
//! | BIASED | idle again, one generation later | borrower: [`Table::give_back_biased`] |
//! | + FORCE_SLOW | no exchange of the fast path succeeds | any pin: [`Table::force_slow`] |
//! | none of them | its owner has it for itself again | owner: [`Owned::revoke_since`] |
//! | LENT | revoked while it was out | owner, who then forgets it |
//!
//! The owner is the pool's state, under its lock. A borrower whose connection was revoked gives it
//! back by [`Table::take_back`] and the slow path.
//!
//! Why it is safe:
//! - Every exchange of the fast path names the whole word, and no word of a slot ever comes twice
//!   (the generation only grows). A thread that lost a race, to another borrower, a revocation, a
//!   pin or a flag, finds another word and takes the slow path.
//! - A revocation is one `fetch_and` under the pool's lock. Its result says whether the connection
//!   was out at that instant, and the generation how often it had been lent ([`CheckedOut`]), so
//!   the pool counts each loan once. A connection that is out when revoked has one owner, its
//!   borrower.
//! - The descriptor and the idle time stand beside the word and may be read at any time; if the
//!   exchange succeeds, what was read belonged to that word. The borrower's Acquire pairs with the
//!   Release of the give-back before it.
//! - A forked child writes another process epoch beside each word that lives on; a cached slot of a
//!   connection that it inherited does not match.
//! - Once in 2^24 loans the fast path refuses (`word::is_due`), so the pool sees a slot before its
//!   loans overflow [`CheckedOut::loans`] or its generation is used up.
//!
//! `tests/handoffs` takes the same lines through every order of events with loom: a give-back
//! against a waiter and its timeout, a borrow against a borrow, loans against eviction, close_idle,
//! drain, the reaper, a hang-up, get, a count and dials, an unfit hit against eviction, count and
//! drain.

use super::slot::Slot;
use super::word::{self, CheckedOut, GENERATION_SHIFT};
use super::{Kept, Owned, Pin, SlotId, Stale, Table, INDEX_BITS, KIND_BITS};
use crate::sync::atomic::Ordering::{Acquire, Relaxed};
use crate::sys::fork;

/// In `Slot::info`: the descriptor has to be peeked at before it is handed out.
const NEEDS_PEEK: u32 = 1 << 31;
/// In `Slot::info`: something has to be asked before it is given back ([`Pin::give_back`]).
const ASKS_AT_RETURN: u32 = 1 << 30;

/// Where a value will be, and under which word, when its borrower has given it back.
pub(crate) struct CachedSlot<T: Kept> {
    slot: &'static Slot<T>,
    word: u64,
    id: SlotId,
}

impl<T: Kept> Clone for CachedSlot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Kept> Copy for CachedSlot<T> {}

impl<T: Kept> PartialEq for CachedSlot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.word == other.word
    }
}

impl<T: Kept> std::fmt::Debug for CachedSlot<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CachedSlot({}, {:x})", self.id.index, self.word)
    }
}

/// A biased value that may be borrowed, as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) info: SlotInfo,
    idle_for: u64,
}

/// What stands beside the word of a biased value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotInfo {
    pub(crate) fd: i32,
    /// The descriptor has to be peeked at before it is handed out.
    pub(crate) needs_peek: bool,
    /// Something has to be asked before it is given back.
    pub(crate) asks_at_return: bool,
}

impl SlotInfo {
    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        Self {
            fd: (bits & !(NEEDS_PEEK | ASKS_AT_RETURN)) as i32,
            needs_peek: bits & NEEDS_PEEK != 0,
            asks_at_return: bits & ASKS_AT_RETURN != 0,
        }
    }

    fn to_bits(self) -> u32 {
        let flag = |is: bool, bit| if is { bit } else { 0 };
        self.fd as u32
            | flag(self.needs_peek, NEEDS_PEEK)
            | flag(self.asks_at_return, ASKS_AT_RETURN)
    }
}

impl<T> Slot<T> {
    /// Asked by callers that have not entered (`sys::fork`): in a child that has not called yet no
    /// slot is.
    #[inline(always)]
    fn is_of_this_process(&self) -> bool {
        self.made_in.load(Relaxed) == fork::epoch_if_entered()
    }
}

impl<T: Kept> CachedSlot<T> {
    /// What there is to borrow, if the value is where its last borrower left it, and by `now`, in
    /// nanoseconds, has been idle for less than `limit` milliseconds.
    #[inline(always)]
    pub(crate) fn offer(&self, limit: u32, now: impl FnOnce() -> u64) -> Option<Offer> {
        if self.slot.word.load(Acquire) != self.word || !self.slot.is_of_this_process() {
            return None;
        }
        let since = self.slot.idle_since.load(Relaxed);
        // Less than zero when another thread read the clock a moment later.
        let idle_for = now().wrapping_sub(since) as i64;
        let is_too_old = idle_for >= i64::from(limit) * 1_000_000;
        (!is_too_old).then(|| Offer {
            info: SlotInfo::from_bits(self.slot.info.load(Relaxed)),
            idle_for: idle_for as u64,
        })
    }

    /// Borrows the value, if it is there still; with its new handle. From then on `self` is where
    /// it will be after this loan.
    #[inline(always)]
    pub(crate) fn borrow(&mut self, offer: &Offer) -> Option<usize> {
        self.word = word::borrow(&self.slot.word, self.word)?;
        self.slot.idle_before.store(offer.idle_for, Relaxed);
        Some(self.handle())
    }

    pub(crate) fn slot_id(&self) -> SlotId {
        self.id
    }

    /// Of nothing.
    #[cfg(test)]
    pub(crate) fn vacant() -> Self {
        Self {
            slot: T::table().slots.get_or_map(0).expect("there is memory"),
            word: 0,
            id: SlotId::from_bits(0),
        }
    }

    #[inline(always)]
    fn handle(&self) -> usize {
        let generation = (self.word >> GENERATION_SHIFT) << GENERATION_SHIFT;
        let low = self.id.index << KIND_BITS | T::table().kind as u32;
        (generation | u64::from(low)) as usize
    }
}

impl<T: Kept> Table<T> {
    /// Gives back a biased value that is out, at time `now`, if nobody pins it and nothing has to
    /// be asked before. If that fails, it is given back by [`Table::take_back`].
    #[inline(always)]
    pub(crate) fn give_back_biased(&'static self, handle: usize, now: u64) -> bool {
        let bits = handle as u64;
        let index = (bits >> KIND_BITS) as u32 & ((1 << INDEX_BITS) - 1);
        let idle = word::idle_word(bits, 0);
        if bits & ((1 << KIND_BITS) - 1) != self.kind as u64 {
            return false;
        }
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        if !word::is_out(&slot.word, idle) || !slot.is_of_this_process() {
            return false;
        }
        if slot.info.load(Relaxed) & ASKS_AT_RETURN != 0 {
            return false;
        }
        // Another thread that gives the same back at this instant writes the same.
        slot.idle_since.store(now, Relaxed);
        word::give_back(&slot.word, idle)
    }

    /// Something has to be asked before the value of that handle is given back by the fast path.
    pub(crate) fn asks_at_return(&'static self, handle: usize) -> bool {
        let asks =
            |(_, slot, _): (u32, &Slot<T>, u64)| slot.info.load(Relaxed) & ASKS_AT_RETURN != 0;
        self.decode(handle).is_ok_and(asks)
    }

    /// Pins the value of a cached slot while it is out, biased.
    pub(crate) fn pin_biased(&'static self, cached: &CachedSlot<T>) -> Result<Pin<T>, Stale> {
        let pin = self.pin(cached.handle())?;
        if pin.is_biased() {
            Ok(pin)
        } else {
            Err(Stale::Closed)
        }
    }

    /// Sends every borrow and give-back of that slot down the slow path, until it is biased anew.
    /// Called by one that pins or owns the value.
    pub(crate) fn force_slow(&'static self, index: u32) {
        word::force_slow(&self.known(index).word);
    }

    /// The number that the owner left beside the value of that slot.
    pub(crate) fn owner_data(&'static self, index: u32) -> u32 {
        self.known(index).owner_data.load(Relaxed)
    }
}

impl<T: Kept> Pin<T> {
    /// It is out or idle by the fast path, and not revoked.
    pub(crate) fn is_biased(&self) -> bool {
        word::is_biased(&self.slot.word)
    }

    /// Gives back a biased value that is out, at time `now`, with its only pin. Gives the pin back
    /// if that fails.
    pub(crate) fn give_back(self, now: u64) -> Result<(), Self> {
        let idle = word::idle_word(self.slot.word.load(Relaxed), 0);
        self.slot.idle_since.store(now, Relaxed);
        if !word::give_back_pinned(&self.slot.word, idle) {
            return Err(self);
        }
        std::mem::forget(self);
        Ok(())
    }

    /// The low bits of its generation: the same as long as one borrower has it.
    pub(crate) fn generation(&self) -> u32 {
        word::generation(self.slot.word.load(Relaxed))
    }

    /// How long it had been idle before this loan, in nanoseconds. Less than zero when another
    /// thread read the clock a moment later.
    pub(crate) fn idle_before(&self) -> i64 {
        self.slot.idle_before.load(Relaxed) as i64
    }
}

impl<T: Kept> Owned<T> {
    /// Leaves a number beside the value, for those who know its slot (see [`Table::owner_data`]).
    pub(crate) fn set_owner_data(&self, owner_data: u32) {
        self.slot().owner_data.store(owner_data, Relaxed);
    }

    /// Since when it has been idle, in nanoseconds.
    pub(crate) fn idle_since(&self) -> u64 {
        self.slot().idle_since.load(Relaxed)
    }

    pub(crate) fn set_idle_since(&self, now: u64) {
        self.slot().idle_since.store(now, Relaxed);
    }

    /// Its owner lends it, at time `now`.
    pub(crate) fn note_idle_before(&self, now: u64) {
        let idle_for = now.saturating_sub(self.idle_since());
        self.slot().idle_before.store(idle_for, Relaxed);
    }

    /// The low bits of its generation: what [`CheckedOut::loans`] is counted from.
    pub(crate) fn generation(&self) -> u32 {
        word::generation(self.slot().word.load(Relaxed))
    }

    /// Where it is once it has been biased, and where once it has been given back after its next
    /// loan.
    pub(crate) fn cached_slots(&self) -> [CachedSlot<T>; 2] {
        let word = self.slot().word.load(Relaxed);
        [0, 1].map(|loans| CachedSlot {
            slot: self.slot(),
            word: word::idle_word(word, loans),
            id: self.slot_id(),
        })
    }

    /// Lets it be borrowed without its owner, as this descriptor.
    pub(crate) fn bias(&self, info: SlotInfo) {
        self.slot().info.store(info.to_bits(), Relaxed);
        word::bias(&self.slot().word);
    }

    /// What has become of it since that generation. It stays where it is.
    pub(crate) fn checked_out_since(&self, generation: u32) -> CheckedOut {
        word::checked_out(&self.slot().word, generation)
    }

    /// Ends the bias; what has become of the value since that generation. If it is out, its
    /// borrower takes it back as one that was lent by its owner, who must let go of it by
    /// [`Owned::forget`].
    pub(crate) fn revoke_since(&self, generation: u32) -> CheckedOut {
        word::revoke(&self.slot().word, generation)
    }

    /// Lets go of a value that is another's by now.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}
