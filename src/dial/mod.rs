//! From an address to a connected socket: resolve, order, race, connect. Knows nothing of pools.
//!
//! Each module imports only what stands before it here; so it is inside each room.
#![forbid(unsafe_code)]

mod bounded;

pub(crate) mod callbacks;

pub(crate) mod caller;

pub(crate) mod resolve;

pub(crate) mod race;

pub(crate) mod dialer;

pub(crate) mod drive;
