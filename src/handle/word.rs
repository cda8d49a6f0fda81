//! A slot's word, and how it changes where two may want it at once: lent and taken back by its
//! owner (`handle`), borrowed and given back without it (`biased`).
//!
//! ```text
//!   63          27  26     25           24         23       22           21    0
//!   generation      LENT   HAS_WAITER   OCCUPIED   BIASED   FORCE_SLOW   pins
//! ```
//!
//! Knows no slot and no value, so that `tests/handoffs` takes these lines through every order of
//! events, and the model of `pool::state` through every sequence.
#![forbid(unsafe_code)]

use crate::sync::atomic::{
    AtomicU64, Ordering,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

pub(super) const GENERATION_SHIFT: u32 = 27;
pub(super) const GENERATION_ONE: u64 = 1 << GENERATION_SHIFT;
pub(super) const LAST_GENERATION: u64 = (1 << (64 - GENERATION_SHIFT)) - 1;
pub(super) const PINS: u64 = (1 << 22) - 1;
/// There is something to be asked or told, so no exchange of the fast path succeeds.
pub(super) const FORCE_SLOW: u64 = 1 << 22;
/// A thread that knows the word may borrow the value, or has.
pub(super) const BIASED: u64 = 1 << 23;
/// The slot has a value.
pub(crate) const OCCUPIED: u64 = 1 << 24;
/// The owner waits for the last pin.
pub(super) const HAS_WAITER: u64 = 1 << 25;
/// The value is a borrower's.
pub(super) const LENT: u64 = 1 << 26;

/// So many loans at most follow each other without the owner: far fewer than [`CheckedOut::loans`]
/// can count.
const LOANS_UNSEEN: u64 = 1 << 24;

const _: () = assert!(PINS & (FORCE_SLOW | BIASED | OCCUPIED | HAS_WAITER | LENT) == 0);

/// What became of a biased value without its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckedOut {
    /// How often it was borrowed, the last time included.
    pub(crate) loans: u32,
    /// The last borrower still has it.
    pub(crate) is_out: bool,
}

impl CheckedOut {
    fn of(word: u64, since: u32) -> Self {
        Self {
            loans: generation(word).wrapping_sub(since),
            is_out: word & LENT != 0,
        }
    }
}

/// The low bits of the generation: what [`CheckedOut::loans`] is counted from.
pub(crate) fn generation(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

/// How a biased value's word reads between two loans, `loans` after this one.
#[inline(always)]
pub(crate) fn idle_word(word: u64, loans: u64) -> u64 {
    let generation = (word >> GENERATION_SHIFT).wrapping_add(loans);
    generation << GENERATION_SHIFT | OCCUPIED | BIASED
}

/// Lends the value under a handle that never was one before. Returns the word of before.
pub(crate) fn lend(word: &AtomicU64) -> u64 {
    word.fetch_add(GENERATION_ONE | LENT, Release)
}

/// Ends the loan of that generation. Returns the word of before; as an error if that loan is over,
/// never was, or has not been revoked.
pub(crate) fn take_back(word: &AtomicU64, generation: u64) -> Result<u64, u64> {
    let mut before = word.load(Relaxed);
    loop {
        if before >> GENERATION_SHIFT != generation || before & (LENT | BIASED) != LENT {
            return Err(before);
        }
        match word.compare_exchange_weak(before, before - LENT, Acquire, Relaxed) {
            Ok(_) => return Ok(before),
            Err(now) => before = now,
        }
    }
}

/// Lets the value be borrowed without its owner.
pub(crate) fn bias(word: &AtomicU64) {
    let biased = |word| Some(word & !FORCE_SLOW | BIASED);
    // Acquire: a thread that forced the slow path before this has told why.
    let _ = word.fetch_update(AcqRel, Relaxed, biased);
}

/// Its owner has to lend it the next time: to count the loans, and to retire the slot before its
/// last generation.
#[inline(always)]
fn is_due(word: u64) -> bool {
    ((word >> GENERATION_SHIFT) + 2) & (LOANS_UNSEEN - 1) == 0
}

/// Borrows the value if the word still is `idle`. Returns how the word will read after the loan.
#[inline(always)]
pub(crate) fn borrow(word: &AtomicU64, idle: u64) -> Option<u64> {
    if is_due(idle) {
        return None;
    }
    let back = idle + GENERATION_ONE;
    word.compare_exchange(idle, back + LENT, Acquire, Relaxed)
        .ok()?;
    Some(back)
}

/// It is out, nothing pins it or forces the slow path, and `idle` is how its word will read.
#[inline(always)]
pub(crate) fn is_out(word: &AtomicU64, idle: u64) -> bool {
    word.load(Acquire) == idle | LENT
}

/// What a borrower did happens before the next borrow. The defect plant-data-race: it may not
/// (tests/planted).
const GIVES_BACK: Ordering = if cfg!(feature = "plant-data-race") {
    Relaxed
} else {
    Release
};

/// Gives the value back; false if that is not so any more: then it has to be taken back by its
/// owner.
#[inline(always)]
pub(crate) fn give_back(word: &AtomicU64, idle: u64) -> bool {
    word.compare_exchange(idle | LENT, idle, GIVES_BACK, Relaxed)
        .is_ok()
}

/// As [`give_back`], with the one pin that there is.
pub(crate) fn give_back_pinned(word: &AtomicU64, idle: u64) -> bool {
    let pinned = (idle | LENT) + 1;
    word.compare_exchange(pinned, idle, Release, Relaxed)
        .is_ok()
}

/// Sends every borrow and give-back down the slow path, until the value is biased anew.
pub(crate) fn force_slow(word: &AtomicU64) {
    word.fetch_or(FORCE_SLOW, AcqRel);
}

/// It is out or idle by the fast path, and its owner has not revoked that.
pub(crate) fn is_biased(word: &AtomicU64) -> bool {
    word.load(Relaxed) & BIASED != 0
}

/// What has become of it since that generation. It stays where it is.
pub(crate) fn checked_out(word: &AtomicU64, since: u32) -> CheckedOut {
    CheckedOut::of(word.load(Acquire), since)
}

/// Ends the bias; what has become of the value since that generation. If it is out, the borrower
/// has it taken back by `take_back`.
pub(crate) fn revoke(word: &AtomicU64, since: u32) -> CheckedOut {
    // A defect: what is out is taken from its borrower, who does not know (tests/planted).
    if cfg!(feature = "plant-double-owner") {
        word.fetch_and(!LENT, AcqRel);
    }
    CheckedOut::of(word.fetch_and(!(BIASED | FORCE_SLOW), AcqRel), since)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between two loans of that generation.
    fn idle(generation: u64) -> AtomicU64 {
        AtomicU64::new(idle_word(generation << GENERATION_SHIFT, 0))
    }

    #[test]
    fn a_loan_of_the_fast_path_raises_the_generation_by_one() {
        let word = idle(5);
        let before = word.load(Relaxed);
        let back = borrow(&word, before).expect("it is there");
        assert_eq!((generation(back), back), (6, idle_word(before, 1)));
        assert!(is_out(&word, back) && borrow(&word, before).is_none());
        assert_eq!(
            checked_out(&word, 5),
            CheckedOut {
                loans: 1,
                is_out: true
            }
        );
        assert!(give_back(&word, back) && !give_back(&word, back));
        assert!(!is_out(&word, back));
        assert_eq!(
            checked_out(&word, 5),
            CheckedOut {
                loans: 1,
                is_out: false
            }
        );
    }

    #[test]
    fn once_in_so_many_loans_the_owner_is_asked() {
        for last in [LOANS_UNSEEN - 2, 3 * LOANS_UNSEEN - 2] {
            let refused = |generation| {
                let word = idle(generation);
                borrow(&word, word.load(Relaxed)).is_none()
            };
            assert!(refused(last));
            assert!(!refused(last - 1) && !refused(last + 1) && !refused(last + 2));
        }
    }

    #[test]
    fn a_pinned_one_is_given_back_with_its_only_pin() {
        let word = idle(5);
        let back = borrow(&word, word.load(Relaxed)).expect("it is there");
        assert!(!give_back_pinned(&word, back), "nothing pins it");
        word.fetch_add(2, Relaxed);
        assert!(
            !give_back(&word, back) && !give_back_pinned(&word, back),
            "two pins"
        );
        word.fetch_sub(1, Relaxed);
        assert!(give_back_pinned(&word, back));
        assert_eq!(word.load(Relaxed), back);
    }

    #[test]
    fn what_is_revoked_or_forced_is_not_borrowed() {
        for (change, biased) in [(FORCE_SLOW, true), (BIASED, false)] {
            let word = idle(5);
            let before = word.load(Relaxed);
            if change == FORCE_SLOW {
                force_slow(&word);
            } else {
                let seen = revoke(&word, 5);
                assert_eq!(
                    seen,
                    CheckedOut {
                        loans: 0,
                        is_out: false
                    }
                );
            }
            assert!(borrow(&word, before).is_none() && is_biased(&word) == biased);
            bias(&word);
            assert!(is_biased(&word) && borrow(&word, before).is_some());
        }
    }

    #[test]
    fn a_loan_is_taken_back_once_and_only_if_it_was_revoked() {
        let word = idle(5);
        let back = borrow(&word, word.load(Relaxed)).expect("it is there");
        assert!(take_back(&word, 6).is_err(), "biased");
        assert_eq!(
            revoke(&word, 5),
            CheckedOut {
                loans: 1,
                is_out: true
            }
        );
        assert!(take_back(&word, 5).is_err(), "another loan");
        assert_eq!(take_back(&word, 6), Ok(back & !BIASED | LENT));
        assert!(take_back(&word, 6).is_err(), "it is over");
        assert_eq!(lend(&word) & LENT, 0);
        assert_eq!(generation(word.load(Relaxed)), 7);
    }
}
