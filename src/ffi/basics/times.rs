//! The clock that times are of, and the times that mean something by themselves.

use crate::sys::clock;

/// A time without a limit, or "off" where a field says so: the only negative time that is taken.
/// Every other one is VCP_ERR_INVALID_ARGUMENT.
pub const VCP_FOREVER: i64 = -1;
/// In vcp_dial_options: the pool's own time.
pub const VCP_POOL_DEFAULT: i64 = i64::MIN;

/// CLOCK_MONOTONIC in milliseconds: the clock of absolute times (vcp_dial_options.deadline_at_ms,
/// vcp_conn_set_deadline_at), so that one budget covers a dial, its I/O and its retries. Never fails.
#[no_mangle]
pub extern "C" fn vcp_now_ms() -> i64 {
    clock::now().millis()
}
