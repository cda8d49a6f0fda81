//! What a pool holds: counted, closed and dialed ahead.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::address::Asked;
use crate::ffi::dial::options::{read_options, vcp_dial_options};
use crate::ffi::dial::request::read_dial;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::state::answer::Reuse;
use crate::pool::BorrowOptions;
use crate::values::error::{Error, Result};

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
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("evict", network, address) };
        let (pool, address) =
            asked.name_in(|asked| Ok((pool_of(pool)?, asked.address_or_all()?)))?;
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
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("idle_count", network, address) };
        let (pool, address) =
            asked.name_in(|asked| Ok((pool_of(pool)?, asked.address_or_all()?)))?;
        Ok(pool.idle_count(address.as_ref()).into())
    })
}
