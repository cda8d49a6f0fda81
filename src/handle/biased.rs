//! Values that their owner has put where they may be borrowed and brought back without it: one exchange each way.
//!
//! | a slot's word | means | who moves it |
//! |---|---|---|
//! | SHELVED | it stands with its owner, for whoever knows the word | [`Owned::shelve`] |
//! | SHELVED, LENT | it is out; its owner still holds its place | [`Trace::borrow`] |
//! | SHELVED | it is back, under the generation of its last loan | [`Table::return_shelved`] |
//! | SHELVED, ODD | there is something to be asked or told: it takes the long way | [`Table::spoil`] |
//! | (none of them) | its owner has it for itself again | [`Owned::hold`] |
//! | LENT | its owner called it in while it was out: it comes back by `redeem` | the same, which then has no value left to own |
//!
//! The word says it all, so whoever has lost a race sees it: every exchange names the whole word, and a generation never comes twice.
//! What has to be known of the value before it is borrowed stands beside it, on its card, which may be read at any time: if the
//! exchange comes through, it was the value's.

use super::word::{self, Absence, GENERATION_SHIFT};
use super::{Card, Kept, Owned, Pin, Slot, Stale, Table, INDEX_BITS, KIND_BITS};
use crate::sync::atomic::Ordering::{Acquire, Relaxed};
use crate::sys::fork;

/// In a card's number: the descriptor has to be looked at before it is handed out.
const PEEK: u32 = 1 << 31;

/// Where a value will be, and under which word, when its borrower has brought it back.
pub(crate) struct Trace<T: Kept> {
    slot: &'static Slot<T>,
    word: u64,
    /// The low bits of every handle of that slot.
    low: u32,
    /// It may stand idle for so many milliseconds.
    limit: u32,
}

impl<T: Kept> Clone for Trace<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Kept> Copy for Trace<T> {}

impl<T: Kept> PartialEq for Trace<T> {
    fn eq(&self, other: &Self) -> bool {
        self.low == other.low && self.word == other.word
    }
}

impl<T: Kept> std::fmt::Debug for Trace<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({}, {:x})", self.seat(), self.word)
    }
}

/// What a card says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) fd: i32,
    /// The descriptor has to be looked at first.
    pub(crate) needs_peek: bool,
}

impl Card {
    #[inline(always)]
    fn offer(&self) -> Offer {
        let number = self.number.load(Relaxed);
        Offer {
            fd: (number & !PEEK) as i32,
            needs_peek: number & PEEK != 0,
        }
    }
}

impl<T> Slot<T> {
    /// Asked by those who have not entered (`sys::fork`): in a child that has not called yet nothing is.
    #[inline(always)]
    fn is_of_this_process(&self) -> bool {
        self.made_in.load(Relaxed) == fork::generation_if_entered()
    }
}

impl<T: Kept> Trace<T> {
    /// What is offered, if the value is where its last borrower left it, and has not stood there too long by `now`, in nanoseconds.
    #[inline(always)]
    pub(crate) fn offer(&self, now: impl FnOnce() -> u64) -> Option<Offer> {
        if self.slot.word.load(Acquire) != self.word || !self.slot.is_of_this_process() {
            return None;
        }
        let since = self.slot.card.since.load(Relaxed);
        // Less than zero when another thread read the clock a moment later.
        let idle_for = now().wrapping_sub(since) as i64;
        let is_too_old = idle_for >= i64::from(self.limit) * 1_000_000;
        (!is_too_old).then(|| self.slot.card.offer())
    }

    /// Borrows it, if it is there still; with its new handle. The trace is then that of its return.
    #[inline(always)]
    pub(crate) fn borrow(&mut self) -> Option<usize> {
        self.word = word::borrow(&self.slot.word, self.word)?;
        Some(self.handle())
    }

    pub(crate) fn seat(&self) -> u32 {
        self.low >> KIND_BITS
    }

    #[inline(always)]
    fn handle(&self) -> usize {
        let generation = (self.word >> GENERATION_SHIFT) << GENERATION_SHIFT;
        (generation | u64::from(self.low)) as usize
    }
}

impl<T: Kept> Table<T> {
    /// Brings one back that is out, at time `now`, if nobody else looks at it. If not, it has to come home by `redeem`.
    #[inline(always)]
    pub(crate) fn return_shelved(&'static self, handle: usize, now: u64) -> bool {
        let bits = handle as u64;
        let index = (bits >> KIND_BITS) as u32 & ((1 << INDEX_BITS) - 1);
        let back = word::at_rest(bits, 0);
        if bits & ((1 << KIND_BITS) - 1) != self.kind as u64 {
            return false;
        }
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        if !word::is_out(&slot.word, back) || !slot.is_of_this_process() {
            return false;
        }
        // Whoever else brings it back at this instant writes the same.
        slot.card.since.store(now, Relaxed);
        word::bring_back(&slot.word, back)
    }

    /// What that trace waits for, while it is out.
    pub(crate) fn pin_shelved(&'static self, trace: &Trace<T>) -> Result<Pin<T>, Stale> {
        let pin = self.pin(trace.handle())?;
        if pin.is_shelved() {
            Ok(pin)
        } else {
            Err(Stale::Closed)
        }
    }

    /// From now on that one is borrowed and brought back by the long way alone, until it is shelved anew. Called by one who pins or owns
    /// it.
    pub(crate) fn spoil(&'static self, index: u32) {
        word::spoil(&self.known(index).word);
    }

    /// Somebody is about to look at that slot: it is fetched meanwhile.
    #[inline(always)]
    pub(crate) fn is_wanted(&'static self, index: u32) {
        #[cfg(target_arch = "x86_64")]
        if let Some(slot) = self.slots.get(index) {
            // SAFETY: a hint; it reads nothing.
            unsafe {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                    std::ptr::from_ref(&slot.word).cast(),
                );
            }
        }
    }

    /// The number that stands beside the value with that seat.
    pub(crate) fn note(&'static self, index: u32) -> u32 {
        self.known(index).card.note.load(Relaxed)
    }
}

impl<T: Kept> Pin<T> {
    /// It is out, or stands on its shelf.
    pub(crate) fn is_shelved(&self) -> bool {
        word::is_shelved(&self.slot.word)
    }

    /// The low bits of its generation: the same as long as one borrower has it.
    pub(crate) fn generation(&self) -> u32 {
        word::generation(self.slot.word.load(Relaxed))
    }
}

impl<T: Kept> Owned<T> {
    /// Its number, for those who reach it by the value alone: see [`Table::spoil`] and [`Table::note`].
    pub(crate) fn seat(&self) -> u32 {
        self.index()
    }

    pub(crate) fn set_note(&self, note: u32) {
        self.slot().card.note.store(note, Relaxed);
    }

    /// Since when it has stood on its shelf.
    pub(crate) fn since(&self) -> u64 {
        self.slot().card.since.load(Relaxed)
    }

    pub(crate) fn set_since(&self, now: u64) {
        self.slot().card.since.store(now, Relaxed);
    }

    /// The low bits of its generation: what [`Absence::lends`] is counted from.
    pub(crate) fn generation(&self) -> u32 {
        word::generation(self.slot().word.load(Relaxed))
    }

    /// Where it is when it has been shelved, and when it has been brought back after its next loan; for so many milliseconds.
    pub(crate) fn traces(&self, limit: u32) -> [Trace<T>; 2] {
        let word = self.slot().word.load(Relaxed);
        [0, 1].map(|loans| Trace {
            slot: self.slot(),
            low: self.index() << KIND_BITS | T::table().kind as u32,
            word: word::at_rest(word, loans),
            limit,
        })
    }

    /// From now on it may be borrowed without its owner, as this descriptor.
    pub(crate) fn shelve(&self, fd: i32, needs_peek: bool) {
        let number = fd as u32 | if needs_peek { PEEK } else { 0 };
        self.slot().card.number.store(number, Relaxed);
        word::shelve(&self.slot().word);
    }

    /// What has become of it since that generation; it stays where it is.
    pub(crate) fn look(&self, since: u32) -> Absence {
        word::look(&self.slot().word, since)
    }

    /// The same, and from now on it may not be borrowed any more. If it is out, its borrower gives it back as one that was lent by its
    /// owner, who has to let go of it by `forget`.
    pub(crate) fn hold(&self, since: u32) -> Absence {
        word::hold(&self.slot().word, since)
    }

    /// Somebody else owns it by now.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}
