//! What a pool holds: counted, closed and dialed ahead.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::address::Asked;
use crate::ffi::dial::options::{read_options, vcp_dial_options};
use crate::ffi::dial::request::read_dial;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::state::answer::Reuse;
use crate::pool::BorrowOptions;
use crate::values::error::{Error, Result};

/// ---- WHAT A POOL HOLDS ----
///
/// These functions close, count and dial ahead.
///
/// ----
///
/// Closes every idle connection. What is borrowed now is kept as before when it is given back.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_pool_close_idle(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        pool_of(pool)?.close_idle();
        Ok(0)
    })
}

/// Closes the idle connections to one address, under all its tags, and those that are borrowed now
/// when they are given back. NULL for both network and address: of all addresses, as after a change
/// of the network.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED, VCP_ERR_UNKNOWN_NETWORK,
/// VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT if only one of the two is NULL;
/// VCP_ERR_NO_MEMORY if the name of a service cannot be looked up without it.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_evict(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("evict", network, address) };
        let (pool, address) =
            asked.name_in(|asked| Ok((pool_of(pool)?, asked.address_or_all()?)))?;
        pool.evict(address.as_ref());
        Ok(0)
    })
}

/// Dials, one after another in this thread, until count connections to the destination are idle.
/// Returns how many are idle then; it fails only if none is. It goes above no limit and closes
/// nothing. It does not wait at a limit, whatever wait_timeout_ms says.
///
/// NULL options: all defaults. Their timeout_ms is for the whole call, and their reuse_tag belongs
/// to the destination; VCP_DIAL_REUSE_ONLY and VCP_DIAL_QUEUED are refused. For its first borrower
/// such a connection counts as reused.
///
/// Errors: those of vcp_dial_with, except VCP_ERR_NOT_AVAILABLE; VCP_ERR_IDLE_FULL if there is no
/// room to keep one.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_warm(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    count: u32,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promises are those of vcp_dial_with.
        let asked = unsafe { Asked::new("warm", network, address) };
        // SAFETY: as above.
        let (pool, destination, borrow) = asked.name_in(|asked| unsafe {
            let pool = pool_of(pool)?;
            let raw = read_options(options)?;
            let (destination, borrow) = read_dial(&pool, asked, raw, &None)?;
            refuse_reuse_only(&borrow)?;
            Ok((pool, destination, borrow))
        })?;
        asked.name_in(|_| refuse_if_short())?;
        let idle = pool.warm(&destination, count, &borrow)?;
        Ok(c_int::try_from(idle).unwrap_or(c_int::MAX))
    })
}

fn refuse_reuse_only(borrow: &BorrowOptions) -> Result<()> {
    if borrow.reuse == Reuse::Only {
        return Err(Error::invalid_argument(
            "flags: VCP_DIAL_REUSE_ONLY is not for vcp_pool_warm",
        ));
    }
    Ok(())
}

/// Returns how many connections there are, idle and borrowed. Go: ConnNum.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_pool_conn_count(pool: *mut vcp_pool) -> i64 {
    guard(|| Ok(pool_of(pool)?.conn_count().into()))
}

/// Returns how many connections to one address are idle, under all its tags. NULL for both network
/// and address: to all addresses. It never resolves a name. Go: ConnNumIde.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED, VCP_ERR_UNKNOWN_NETWORK,
/// VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT if only one of the two is NULL;
/// VCP_ERR_NO_MEMORY if the name of a service cannot be looked up without it.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_idle_count(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> i64 {
    guard(|| {
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("idle_count", network, address) };
        let (pool, address) =
            asked.name_in(|asked| Ok((pool_of(pool)?, asked.address_or_all()?)))?;
        Ok(pool.idle_count(address.as_ref()).into())
    })
}
