//! Where a value is, as a number: what epoll is given, and what owns a descriptor.
#![forbid(unsafe_code)]

/// One value's slot and epoch, for those who know it by number (epoll). A later epoch in the same
/// slot does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId {
    pub(super) index: u32,
    pub(super) epoch: u32,
}

impl SlotId {
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            epoch: (bits >> 32) as u32,
        }
    }
}
