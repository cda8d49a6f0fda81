//! Where a value is, as a number: what epoll is given, and what owns a descriptor.
#![forbid(unsafe_code)]

/// One value's slot and life, for those who know it by number (epoll). A later life in the same slot does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(super) index: u32,
    pub(super) life: u32,
}

impl Place {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.life) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            life: (bits >> 32) as u32,
        }
    }
}
