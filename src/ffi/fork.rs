//! The first call in a forked child puts in order what was inherited, before it touches a lock.

use super::handles;
use crate::sys::fork;

/// Called first by every function.
pub(crate) fn enter() {
    fork::enter(handles::adopt);
}

/// Called first by vcp_cancel_fire, the one function that a signal handler may call.
pub(crate) fn enter_from_handler() {
    fork::enter_from_handler(handles::adopt);
}
