//! Memory: pages of one's own, and what the library does when malloc(3) fails.

mod allocator;
mod mapping;
mod reserve;
mod shortage;

pub(crate) use self::mapping::{map_forever, map_wiped_on_fork, unmap_unseen};
pub(crate) use self::shortage::{has, is_short, or_none, try_reserve};
