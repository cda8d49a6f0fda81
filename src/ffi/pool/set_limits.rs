//! `vcp_pool_set_limits`.

use std::ffi::c_int;

use super::options::vcp_pool_options;
use super::validate;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::values::error::Error;

/// Changes the limits of a pool while it works, and how long it keeps connections. Of options it
/// takes the fields of these two groups, up to min_idle_per_address, at once and as a whole; if one
/// of them is bad, nothing changes. It does not look at the other fields.
///
/// Idle connections above a lowered limit (of idle ones, of all, per destination) are closed at
/// once, those that have been idle longest first. Borrowed ones above it are closed when they are
/// given back, until the limit holds. Both are VCP_CLOSE_EVICTED; a borrowed one for which only the
/// room among the idle is gone is VCP_CLOSE_IDLE_FULL. Idle ones that were borrowed as often as a
/// lower max_uses allows are closed at once, too (VCP_CLOSE_MAX_USES). Dials that wait and that a
/// raised limit lets in go on at once, in their order. Lifetimes that were drawn before stay. A
/// raised min_idle_per_address is kept up at once for each destination that has a connection.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED; VCP_ERR_INVALID_ARGUMENT if options is NULL
/// or a field is bad; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_set_limits(
    pool: *mut vcp_pool,
    options: *const vcp_pool_options,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        if options.is_null() {
            return Err(Error::invalid_argument("options is NULL"));
        }
        let reuse_order = pool.settings().get().keeping.reuse_order;
        // SAFETY: not NULL, and as big as its size field says by the program's promise.
        let new = unsafe { validate::read_adjustable(options, reuse_order) }?;
        refuse_if_short()?;
        pool.set_limits(&new);
        Ok(0)
    })
}
