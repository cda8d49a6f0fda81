//! From an address to a connected socket: resolve, order, race, connect. Knows nothing of pools.
#![forbid(unsafe_code)]

pub(crate) mod connect;
pub(crate) mod drive;
pub(crate) mod names;
pub(crate) mod order;
pub(crate) mod race;
