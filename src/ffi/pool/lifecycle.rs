//! The life of a pool.

use std::ffi::c_int;

use super::options::vcp_pool_options;
use super::validate;
use crate::ffi::arguments::time;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_error, pool_of, vcp_pool};
use crate::handle::Kept;
use crate::pool::errors::system_error;
use crate::pool::{hints, Pool, PoolHandle};
use crate::sys::clock;
use crate::values::clock::Deadline;
use crate::values::error::Error;

/// Makes a pool. options may be NULL: all defaults. Nothing is dialed and no thread is started yet.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_new(
    options: *const vcp_pool_options,
    pool: *mut *mut vcp_pool,
) -> c_int {
    guard(|| {
        if pool.is_null() {
            return Err(Error::invalid_argument("pool is NULL"));
        }
        // SAFETY: the program promises a struct as big as its size field says.
        let (options, callbacks, free_user) = unsafe { validate::read(options) }?;
        let listed = PoolHandle::new(Pool::new(options, callbacks));
        let owned = PoolHandle::table()
            .insert(listed)
            .map_err(|(unlisted, error)| {
                unlisted.pool().close();
                system_error("a new pool", &error)
            })?;
        free_user.arm();
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *pool = owned.lend() as *mut vcp_pool };
        Ok(0)
    })
}

/// Ends a pool. The handle is dead at once: idle connections are closed, dials in flight end with
/// VCP_ERR_POOL_CLOSED; borrowed connections stay usable by their borrowers and are really closed
/// when given back. When the last one is back, all memory is free except handle slots, which later
/// handles reuse. When it returns, no thread of the library runs the pool's on_event, or any
/// callback of a dial in the background, and none will (it waits for those that do, unless it is
/// called from one). NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_pool_close(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        if pool.is_null() {
            return Ok(0);
        }
        let owned = PoolHandle::table()
            .redeem(pool as usize, |_| {})
            .map_err(pool_error)?;
        owned.into_inner().pool().close();
        hints::pool_ended();
        Ok(0)
    })
}

/// New dials, waiting ones and those in flight end with VCP_ERR_POOL_CLOSED, and what is idle is
/// closed. Waits until every borrowed connection is back (timeout_ms < 0: for ever, 0: not at all)
/// and returns how many are still out (0: all home). The handle is still to be closed. Not to be
/// called from a callback of the same pool.
#[no_mangle]
pub extern "C" fn vcp_pool_drain(pool: *mut vcp_pool, timeout_ms: i64) -> i64 {
    guard(|| {
        let pool = pool_of(pool)?;
        let timeout = time::timeout(timeout_ms, "timeout_ms")?;
        let until = Deadline::from_timeout(clock::now(), timeout);
        Ok(pool.drain(until).into())
    })
}

/// Cuts every connection that is borrowed now: shutdown(2), so that its borrower's I/O ends, and it
/// is closed when given back. Afterwards vcp_conn_read, write, try_read, try_write and wait answer
/// VCP_ERR_POOL_CLOSED on it, never 0: a truncated answer must not look like a whole one. A program
/// that reads the descriptor itself sees end of stream. The handle is still to be closed.
#[no_mangle]
pub extern "C" fn vcp_pool_abort(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        pool_of(pool)?.abort();
        Ok(0)
    })
}
