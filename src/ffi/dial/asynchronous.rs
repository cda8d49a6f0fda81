//! `vcp_dial_async`.

use std::ffi::{c_char, c_int, c_void};

use super::fast_path::{name_for_next, try_fast_path};
use super::options::vcp_dial_options;
use super::request::read_async;
use crate::ffi::arguments::address::Asked;
use crate::ffi::basics::status::VCP_ERR_IN_PROGRESS;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{pool_of, queue_of, vcp_conn, vcp_pool, vcp_queue};
use crate::pool::entry::start_async::Started;
use crate::pool::thread_cache;
use crate::values::error::Error;

/// Borrows a connection without ever blocking. Returns a descriptor, VCP_ERR_IN_PROGRESS or a
/// failure:
///
///     a descriptor              *conn is the connection, as from vcp_dial_with. It was idle.
///     VCP_ERR_IN_PROGRESS       *conn is NULL. The answer will come through the queue, once, with
///                               your pointer token; also if the deadline passes, the cancel token
///                               of the options fires, or the pool is closed.
///     another VCP_ERR_* code    *conn is NULL. The dial failed at once; the queue gets nothing.
///
/// With VCP_DIAL_QUEUED the answers that are known at once come through the queue too: the call
/// returns VCP_OK, and fails only by bad arguments and handles. An idle connection about which
/// on_reuse has to be asked comes through the queue, too.
///
/// conn is written before the call returns, and not kept. The dial waits at a limit in one line
/// with all others. An answer may be a success that was on its way when the cancel token fired.
///
/// Example:
///
///     if (vcp_dial_async(pool, "tcp", "db.local:5432", NULL, queue, NULL, &conn) ==
///         VCP_ERR_IN_PROGRESS) {
///         // later, when vcp_queue_fd(queue) is readable:
///         vcp_completion done;
///         while (vcp_queue_next(queue, &done, sizeof done) == 1)
///             if (done.status >= 0)
///                 vcp_conn_close(done.conn);
///     }
///
/// Threads: any. It never blocks. Callbacks run on helper threads, but for two, which run in the
/// call: on_event for what the call itself causes (VCP_EVENT_WAIT_START, VCP_EVENT_REUSED,
/// VCP_EVENT_CLOSED), and free_data of what it closes to make room.
///
/// Errors: those of vcp_dial_with, and VCP_ERR_IN_PROGRESS; VCP_ERR_INVALID_HANDLE also if queue is
/// no handle.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial_async(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    queue: *mut vcp_queue,
    token: *mut c_void,
    conn: *mut *mut vcp_conn,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promises.
        let asked = unsafe { Asked::new("dial", network, address) };
        if conn.is_null() {
            return Err(Error::invalid_argument("conn is NULL").of(asked.describe()));
        }
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *conn = std::ptr::null_mut() };
        let (owner, queue) = asked.name_in(|_| Ok((pool_of(pool)?, queue_of(queue)?)))?;
        // SAFETY: the program's promises are those of vcp_dial_with.
        let missed = match unsafe { try_fast_path(pool, network, address, options, conn) } {
            Ok(fd) => return Ok(fd),
            Err(missed) => missed,
        };
        // SAFETY: as above.
        let (place, mut borrow, is_queued) =
            asked.name_in(|asked| unsafe { read_async(&owner, asked, options) })?;
        asked.name_in(|_| refuse_if_short())?;
        borrow.found_unfit = missed.unfit;
        // SAFETY: as above.
        let name = unsafe { name_for_next(pool, network, address, options) };
        let recipient = asked.name_in(|_| queue.expect(token as usize, is_queued))?;
        match owner.borrow_async(place, borrow, recipient)? {
            Started::Conn(borrowed) => {
                let fd = borrowed.lent_fd();
                if let Some(name) = name {
                    thread_cache::remember(&name, &borrowed);
                }
                // SAFETY: as above.
                unsafe { *conn = borrowed.lend_out() as *mut vcp_conn };
                Ok(fd)
            }
            Started::Later if is_queued => Ok(0),
            Started::Later => Ok(VCP_ERR_IN_PROGRESS),
        }
    })
}
