//! What `ffi` and the engine call: one verb a file.
#![forbid(unsafe_code)]

mod borrow;
mod dial;
pub(crate) mod fast_hit;
pub(crate) mod fork;
mod new;
mod set_limits;
pub(crate) mod shutdown;
pub(crate) mod start_async;
pub(crate) mod upkeep;
pub(crate) mod warm;
