//! Which descriptor numbers the pools of this process own.
//!
//! `put` asks here before it takes a number a second time, and a close asks whether the number
//! still is its own: if the program closed a pooled descriptor behind the library's back, the
//! number may by now belong to a newer connection.

use std::os::fd::RawFd;

use super::chunked::{Chunked, Zeroable};
use super::{NoRoom, SlotId};
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};

/// A slot id + 1, so that 0 is no owner.
struct Owner(AtomicU64);

// SAFETY: an atomic integer.
unsafe impl Zeroable for Owner {}

/// No slot id: an index has 24 bits.
const RESERVED: u64 = u64::MAX;

static OWNERS: Chunked<Owner> = Chunked::new();

fn mark(slot: SlotId) -> u64 {
    slot.to_bits() + 1
}

fn owner(fd: RawFd) -> Option<&'static Owner> {
    OWNERS.get(u32::try_from(fd).ok()?)
}

/// In a forked child, before anybody looks: its pools own nothing yet. What they inherited is told
/// by device and inode.
pub(crate) fn disown_all() {
    OWNERS.each(|owner| {
        // Looked at first: a write would copy the page.
        if owner.0.load(Acquire) != 0 {
            owner.0.store(0, Release);
        }
    });
}

fn owner_or_new(fd: RawFd) -> Result<&'static Owner, NoRoom> {
    let index = u32::try_from(fd).ok();
    index
        .and_then(|index| OWNERS.get_or_map(index))
        .ok_or(NoRoom)
}

/// Makes `slot` the owner of the number; returns the owner of before.
pub(crate) fn claim(fd: RawFd, slot: SlotId) -> Result<Option<SlotId>, NoRoom> {
    let before = owner_or_new(fd)?.0.swap(mark(slot), AcqRel);
    let has_none = before == 0 || before == RESERVED;
    Ok((!has_none).then(|| SlotId::from_bits(before - 1)))
}

/// True while `slot` owns the number: no other connection has been opened with it since.
pub(crate) fn is_owner(fd: RawFd, slot: SlotId) -> bool {
    owner(fd).is_some_and(|owner| owner.0.load(Acquire) == mark(slot))
}

/// Ends the ownership, if the number still is `slot`'s. Called before the number is released.
pub(crate) fn release(fd: RawFd, slot: SlotId) {
    if let Some(owner) = owner(fd) {
        let _ = owner.0.compare_exchange(mark(slot), 0, AcqRel, Acquire);
    }
}

/// Keeps all others from claiming the number until `claim` or `unreserve`; `false` if it has
/// an owner.
pub(crate) fn reserve(fd: RawFd) -> Result<bool, NoRoom> {
    let owner = &owner_or_new(fd)?.0;
    let exchanged = owner.compare_exchange(0, RESERVED, AcqRel, Acquire);
    Ok(exchanged.is_ok())
}

/// Takes back a `reserve` that came to nothing.
pub(crate) fn unreserve(fd: RawFd) {
    if let Some(owner) = owner(fd) {
        let _ = owner.0.compare_exchange(RESERVED, 0, AcqRel, Acquire);
    }
}

/// The connection that owns the number.
pub(crate) fn owner_of(fd: RawFd) -> Option<SlotId> {
    let mark = owner(fd)?.0.load(Acquire);
    (mark != 0 && mark != RESERVED).then(|| SlotId::from_bits(mark - 1))
}

/// True if a pool of this process owns the number.
pub(crate) fn is_owned(fd: RawFd) -> bool {
    owner(fd).is_some_and(|owner| owner.0.load(Acquire) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_owner_at_a_time() {
        // No descriptor of these tests is that high.
        let fd = 900_000;
        let [first, second] = [1, 1 << 32 | 2].map(SlotId::from_bits);
        assert!(!is_owned(fd) && owner_of(fd).is_none());
        assert!(claim(fd, first).is_ok_and(|before| before.is_none()));
        assert!(is_owned(fd) && is_owner(fd, first) && !is_owner(fd, second));
        assert_eq!(owner_of(fd), Some(first));
        assert!(claim(fd, second).is_ok_and(|before| before == Some(first)));
        release(fd, first);
        assert!(is_owner(fd, second), "the number is another's");
        release(fd, second);
        assert!(!is_owned(fd));
    }

    #[test]
    fn a_reserved_number_is_nobodys_and_not_free() {
        let fd = 900_001;
        let slot = SlotId::from_bits(7);
        assert!(reserve(fd).is_ok_and(|reserved| reserved));
        assert!(is_owned(fd) && owner_of(fd).is_none() && !is_owner(fd, slot));
        assert!(reserve(fd).is_ok_and(|reserved| !reserved), "once");
        unreserve(fd);
        assert!(!is_owned(fd));
        assert!(reserve(fd).is_ok_and(|reserved| reserved));
        assert!(claim(fd, slot).is_ok_and(|before| before.is_none()));
        unreserve(fd);
        assert!(is_owner(fd, slot), "claimed: not reserved any more");
        release(fd, slot);
    }

    #[test]
    fn what_is_no_number_has_no_owner() {
        assert!(claim(-1, SlotId::from_bits(1)).is_err() && reserve(-1).is_err());
        assert!(!is_owned(-1) && owner_of(-1).is_none());
    }
}
