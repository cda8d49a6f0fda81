//! The life of a pool.

use std::ffi::c_int;

use super::options::vcp_pool_options;
use super::validate;
use crate::ffi::arguments::time;
use crate::ffi::guard::{guard, guard_with_memory};
use crate::ffi::handles::{pool_error, pool_of, vcp_pool};
use crate::handle::Kept;
use crate::pool::{thread_cache, Pool, PoolHandle};
use crate::sys::clock;
use crate::values::clock::Deadline;
use crate::values::error::Error;

/// START HERE. Makes a pool and writes its handle to *pool. NULL options: all defaults. Nothing is
/// dialed, and no thread is started.
///
/// Example:
///
///     vcp_pool_options options;
///     vcp_pool_options_init(&options, sizeof options);
///     options.max_conns_per_address = 10;
///     options.wait_timeout_ms = 2000;
///     if (vcp_pool_new(&options, &pool) != VCP_OK)
///         fprintf(stderr, "%s\n", vcp_last_error());
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if pool is NULL or an option is wrong, which the message names;
/// VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_new(
    options: *const vcp_pool_options,
    pool: *mut *mut vcp_pool,
) -> c_int {
    guard_with_memory(|| {
        if pool.is_null() {
            return Err(Error::invalid_argument("pool is NULL"));
        }
        // SAFETY: the program promises a struct as big as its size field says.
        let (options, callbacks, free_user) = unsafe { validate::read(options) }?;
        let listed = PoolHandle::new(Pool::new(options, callbacks));
        let owned = PoolHandle::table().insert(listed).map_err(|unlisted| {
            unlisted.pool().close();
            Error::no_memory()
        })?;
        free_user.arm();
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *pool = owned.lend() as *mut vcp_pool };
        Ok(0)
    })
}

/// START HERE. Ends a pool. NULL is VCP_OK.
///
/// The handle is dead at once. Idle connections are closed. Dials that wait or connect end with
/// VCP_ERR_POOL_CLOSED. Borrowed connections stay usable, and are really closed when they are given
/// back. When the last one is back, the pool's memory is free, except what other threads remember
/// of their last dials (see MEMORY): that goes when they next dial something else, or end.
///
/// When this returns, no thread of the library runs the pool's on_event or a callback of one of its
/// dials (resolve included), and none will: it waits for those that run, so a resolve that does not
/// return holds it. With on_event it also waits for a free_data that runs in the background, and
/// VCP_EVENT_CLOSED is told of all that was counted before. It does not wait for open_session, for
/// on_idle and for an on_release in the background, because they may last; none of them begins
/// later, but for one that was about to, and free_user comes after the last of them.
///
/// Threads: any, but no callback of the pool. In a callback of another pool it does not wait: what
/// has begun may run on after it.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_pool_close(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        if pool.is_null() {
            return Ok(0);
        }
        // First: who has seen the handle dead must not find a dial that goes on.
        pool_of(pool)?.mark_closed();
        let owned = PoolHandle::table()
            .take_back(pool as usize, |_| {})
            .map_err(pool_error)?;
        owned.into_inner().pool().close();
        thread_cache::pool_ended();
        Ok(0)
    })
}

/// Stops a pool and waits until its borrowed connections are back, or timeout_ms have passed (0: it
/// does not wait; VCP_FOREVER: no limit). Returns how many are still out; 0 means none.
///
/// At once, new dials and those that wait or connect end with VCP_ERR_POOL_CLOSED, and idle
/// connections are closed. What is given back is closed. The handle is still to be closed.
///
/// Threads: any, but no callback of the pool.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED; VCP_ERR_INVALID_ARGUMENT if timeout_ms is
/// negative and not VCP_FOREVER.
#[no_mangle]
pub extern "C" fn vcp_pool_drain(pool: *mut vcp_pool, timeout_ms: i64) -> i64 {
    guard(|| {
        let pool = pool_of(pool)?;
        let timeout = time::timeout(timeout_ms, "timeout_ms")?;
        let until = Deadline::from_timeout(clock::now(), timeout);
        Ok(pool.drain(until).into())
    })
}

/// Ends the I/O of every connection that is borrowed now: it is shut down by shutdown(2), and
/// closed when it is given back. The handle is still to be closed.
///
/// vcp_conn_read, write, try_read, try_write and wait of such a connection then answer
/// VCP_ERR_POOL_CLOSED, never 0: an answer that is cut off must not look like a whole one. A
/// program that reads the descriptor itself sees end of stream.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_pool_abort(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        pool_of(pool)?.abort();
        Ok(0)
    })
}
