//! The first call in a forked child puts in order what was inherited, before it touches a lock.

use crate::ffi::{callbacks, cancel, queue};
use crate::pool::entry::fork::adopt as adopt_pools;
use crate::sys::fork;

/// Called first by every function.
pub(crate) fn enter() {
    fork::enter(adopt);
}

/// The same for the one function that a signal handler may call.
pub(crate) fn enter_from_handler() {
    fork::enter_from_handler(adopt);
}

fn adopt(generation: u32) {
    cancel::adopt(generation);
    queue::adopt(generation);
    callbacks::adopt(generation);
    adopt_pools(generation);
}
