//! A slot's word, and how it changes where two may want it at once: lent and redeemed by its owner (`handle`), borrowed and brought back
//! without it (`shelved`).
//!
//! ```text
//!   63          27  26     25       24    23       22   21    0
//!   generation      LENT   AWAITED  FULL  SHELVED  ODD  pins
//! ```
//!
//! Knows no slot and no value, so that `tests/handoffs` takes the same lines through every order of events, and the model of `pool::state`
//! through every sequence.
#![forbid(unsafe_code)]

use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

pub(super) const GENERATION_SHIFT: u32 = 27;
pub(super) const GENERATION_ONE: u64 = 1 << GENERATION_SHIFT;
pub(super) const LAST_GENERATION: u64 = (1 << (64 - GENERATION_SHIFT)) - 1;
pub(super) const PINS: u64 = (1 << 22) - 1;
/// Of a shelved one: there is something to be asked or told, so it takes the long way.
pub(super) const ODD: u64 = 1 << 22;
/// Whoever knows the word may borrow it, or has.
pub(super) const SHELVED: u64 = 1 << 23;
pub(crate) const FULL: u64 = 1 << 24;
pub(super) const AWAITED: u64 = 1 << 25;
pub(super) const LENT: u64 = 1 << 26;

/// So many loans at most follow each other without the owner: far fewer than [`Absence::lends`] can count.
const LOANS_UNSEEN: u64 = 1 << 24;

const _: () = assert!(PINS & (ODD | SHELVED | FULL | AWAITED | LENT) == 0);

/// What became of a shelved value without its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Absence {
    /// How often it was lent, the last time included.
    pub(crate) lends: u32,
    /// It still is.
    pub(crate) is_out: bool,
}

impl Absence {
    fn of(word: u64, since: u32) -> Self {
        Self {
            lends: generation(word).wrapping_sub(since),
            is_out: word & LENT != 0,
        }
    }
}

/// The low bits of it: what [`Absence::lends`] is counted from.
pub(crate) fn generation(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

/// How a shelved value's word reads between two loans, `loans` after this one.
#[inline(always)]
pub(crate) fn at_rest(word: u64, loans: u64) -> u64 {
    let generation = (word >> GENERATION_SHIFT).wrapping_add(loans);
    generation << GENERATION_SHIFT | FULL | SHELVED
}

/// Out, under a handle that never was one before. Returns what it was.
pub(crate) fn lend(word: &AtomicU64) -> u64 {
    word.fetch_add(GENERATION_ONE | LENT, Release)
}

/// The loan of that generation ends. Returns what it was, as an error if that loan is over, never was, or has not been called in.
pub(crate) fn redeem(word: &AtomicU64, generation: u64) -> Result<u64, u64> {
    let mut before = word.load(Relaxed);
    loop {
        if before >> GENERATION_SHIFT != generation || before & (LENT | SHELVED) != LENT {
            return Err(before);
        }
        match word.compare_exchange_weak(before, before - LENT, Acquire, Relaxed) {
            Ok(_) => return Ok(before),
            Err(now) => before = now,
        }
    }
}

/// From now on it may be borrowed without its owner.
pub(crate) fn shelve(word: &AtomicU64) {
    let offer = |word| Some(word & !ODD | SHELVED);
    // Acquire: who made it odd before this has told why.
    let _ = word.fetch_update(AcqRel, Relaxed, offer);
}

/// Its owner has to lend it the next time: to count what was lent, and to let go of a slot before its last generation.
#[inline(always)]
fn is_due(word: u64) -> bool {
    ((word >> GENERATION_SHIFT) + 2) & (LOANS_UNSEEN - 1) == 0
}

/// Borrows what is there under `word_there`, if it still is. Returns the word of its return.
#[inline(always)]
pub(crate) fn borrow(word: &AtomicU64, word_there: u64) -> Option<u64> {
    if is_due(word_there) {
        return None;
    }
    let back = word_there + GENERATION_ONE;
    word.compare_exchange(word_there, back + LENT, Acquire, Relaxed)
        .ok()?;
    Some(back)
}

/// It is out, nobody looks at it, nothing is odd, and `back` is the word of its return.
#[inline(always)]
pub(crate) fn is_out(word: &AtomicU64, back: u64) -> bool {
    word.load(Acquire) == back | LENT
}

/// Brings it back; false if that is not so any more: it has to come home by `redeem`.
#[inline(always)]
pub(crate) fn bring_back(word: &AtomicU64, back: u64) -> bool {
    word.compare_exchange(back | LENT, back, Release, Relaxed)
        .is_ok()
}

/// From now on it is borrowed and brought back by the long way alone, until it is shelved anew.
pub(crate) fn spoil(word: &AtomicU64) {
    word.fetch_or(ODD, AcqRel);
}

/// It is out, or stands on its shelf, and its owner has not called it in.
pub(crate) fn is_shelved(word: &AtomicU64) -> bool {
    word.load(Relaxed) & SHELVED != 0
}

/// What has become of it since that generation; it stays where it is.
pub(crate) fn look(word: &AtomicU64, since: u32) -> Absence {
    Absence::of(word.load(Acquire), since)
}

/// The same, and from now on it may not be borrowed any more. If it is out, its borrower redeems it.
pub(crate) fn hold(word: &AtomicU64, since: u32) -> Absence {
    Absence::of(word.fetch_and(!(SHELVED | ODD), AcqRel), since)
}
