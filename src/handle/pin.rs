//! Looks at a value, of which there may be many at once; whoever takes the value back waits for the
//! last of them.

use std::ops::Deref;

use super::slot::Slot;
use super::{Kept, SlotId};

/// A look at a value that keeps it in its slot.
pub(crate) struct Pin<T: Kept> {
    pub(super) slot: &'static Slot<T>,
    pub(super) index: u32,
}

impl<T: Kept> Pin<T> {
    pub(crate) fn slot_id(&self) -> SlotId {
        self.slot.slot_id(self.index)
    }
}

impl<T: Kept> Deref for Pin<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a pinned slot stays OCCUPIED.
        unsafe { self.slot.value() }
    }
}

impl<T: Kept> Drop for Pin<T> {
    fn drop(&mut self) {
        self.slot.unpin();
    }
}
