//! What a pool holds: counted, closed and dialed ahead.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::address::address_or_all;
use crate::ffi::dial::options::{read_options, vcp_dial_options};
use crate::ffi::dial::request::read_dial;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::state::answer::Reuse;
use crate::values::error::Error;

/// Closes every idle connection. What is borrowed now is kept as before when it is given back.
#[no_mangle]
pub extern "C" fn vcp_pool_close_idle(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        pool_of(pool)?.close_idle();
        Ok(0)
    })
}

/// Closes what is idle at one address (all its tags), and what is borrowed from there now when it
/// is given back; NULL, NULL: everywhere ("the network changed").
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_evict(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promise.
        let address = unsafe { address_or_all(network, address) }?;
        pool.evict(address.as_ref());
        Ok(0)
    })
}

/// Dials until count connections to the destination are idle, one after another in this thread;
/// never above a limit, and nothing is closed for them. Returns how many are idle; an error only if
/// none is. options may be NULL; their timeout_ms bounds the whole call, reuse_tag belongs to the
/// destination, flags must not hold VCP_DIAL_REUSE_ONLY. A connection dialed so is "reused" for its
/// first borrower.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_warm(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    count: u32,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promises are those of vcp_dial_with.
        let (destination, borrow) = unsafe {
            let raw = read_options(options)?;
            read_dial(&pool, network, address, raw, &None)
        }?;
        if borrow.reuse == Reuse::Only {
            return Err(Error::invalid_argument(
                "flags: VCP_DIAL_REUSE_ONLY is not for vcp_pool_warm",
            ));
        }
        let idle = pool.warm(&destination, count, &borrow)?;
        Ok(c_int::try_from(idle).unwrap_or(c_int::MAX))
    })
}

/// How many connections there are: idle + borrowed. Go: ConnNum.
#[no_mangle]
pub extern "C" fn vcp_pool_conn_count(pool: *mut vcp_pool) -> i64 {
    guard(|| Ok(pool_of(pool)?.conn_count().into()))
}

/// How many connections are idle at one address, whatever their tag; NULL, NULL: at all. Never
/// resolves a name. Go: ConnNumIde.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_idle_count(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> i64 {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promise.
        let address = unsafe { address_or_all(network, address) }?;
        Ok(pool.idle_count(address.as_ref()).into())
    })
}
