//! What a forked child finds in a table: every slot as it was at the fork, with threads inside that
//! do not exist here.

use super::word::{GENERATION_SHIFT, HAS_WAITER, LENT, OCCUPIED, PINS};
use super::{Kept, Table};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// In `Slot::made_in`: the value was lent at the fork, and its handle has been closed since.
const WAS_LENT: u32 = 1 << 31;

/// What becomes of the values that a child inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inherited {
    /// They live on under their handles.
    Lives,
    /// Their handles are closed.
    Ends,
}

impl<T: Kept> Table<T> {
    /// Called when nobody else can look at the table. A child that is forked meanwhile begins
    /// again.
    pub(crate) fn adopt(&'static self, epoch: u32, inherited: Inherited) {
        for index in 0..self.used.load(Acquire) {
            let slot = self.known(index);
            let word = slot.word.load(Relaxed);
            if word & OCCUPIED == 0 {
                continue;
            }
            let quiet = word & !(PINS | HAS_WAITER);
            match inherited {
                Inherited::Lives => {
                    slot.made_in.store(epoch, Relaxed);
                    slot.word.store(quiet, Relaxed);
                }
                Inherited::Ends => {
                    if word & LENT != 0 {
                        slot.made_in.fetch_or(WAS_LENT, Relaxed);
                    }
                    slot.word.store(quiet & !LENT, Relaxed);
                }
            }
        }
    }

    /// Shows each inherited value that no borrower had and that is wanted to `take`, in this
    /// process once.
    pub(crate) fn take_inherited(
        &'static self,
        is_wanted: impl Fn(&T) -> bool,
        mut take: impl FnMut(&'static T),
    ) {
        for index in 0..self.used.load(Acquire) {
            let slot = self.known(index);
            if !slot.is_inherited() || slot.word.load(Acquire) & OCCUPIED == 0 {
                continue;
            }
            // SAFETY: OCCUPIED when it was inherited, so the value is there, and its slot is never
            // used again.
            let value: &'static T = unsafe { slot.value() };
            let had_borrower =
                slot.made_in.load(Relaxed) & WAS_LENT != 0 && !value.is_lent_to_callback();
            if had_borrower || !is_wanted(value) {
                continue;
            }
            if slot.word.fetch_and(!OCCUPIED, AcqRel) & OCCUPIED != 0 {
                take(value);
            }
        }
    }

    /// The inherited value that was lent under this handle; in this process once.
    pub(crate) fn take_lent(&'static self, handle: usize) -> Option<&'static T> {
        let (_, slot, generation) = self.decode(handle).ok()?;
        let is_it = slot.is_inherited()
            && slot.made_in.load(Relaxed) & WAS_LENT != 0
            && slot.word.load(Acquire) >> GENERATION_SHIFT == generation;
        if is_it && slot.word.fetch_and(!OCCUPIED, AcqRel) & OCCUPIED != 0 {
            // SAFETY: as above.
            Some(unsafe { slot.value() })
        } else {
            None
        }
    }
}
