//! The clock that times are of, and the times that mean something by themselves.

use crate::sys::clock;

/// ---- TIMES THAT MEAN SOMETHING BY THEMSELVES ----
///
/// The table TIMES above tells what they mean for each time.
///
/// ----
///
/// No limit. It is the only negative time that is taken, but for VCP_POOL_DEFAULT.
pub const VCP_FOREVER: i64 = -1;
/// timeout_ms and wait_timeout_ms of vcp_dial_options: what the pool's options say.
pub const VCP_POOL_DEFAULT: i64 = i64::MIN;

/// ---- THE CLOCK ----
///
/// ----
///
/// The time now, in milliseconds of CLOCK_MONOTONIC (clock_gettime(2)), for absolute times:
/// vcp_conn_set_deadline_at and vcp_dial_options.deadline_at_ms. One budget can so cover a dial,
/// its I/O and its retries. It cannot fail.
#[no_mangle]
pub extern "C" fn vcp_now_ms() -> i64 {
    clock::now().millis()
}
