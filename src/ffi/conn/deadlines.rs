//! What ends reads, writes and waits: deadlines and a token.

use std::ffi::c_int;

use crate::ffi::arguments::time;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{conn_of, token_of, vcp_cancel, vcp_conn};
use crate::pool::conn::io::{self, Directions};
use crate::sys::clock;
use crate::values::clock::Deadline;
use crate::values::error::Result;

/// So long after now.
fn from_now(timeout_ms: i64) -> Result<Deadline> {
    let timeout = time::timeout(timeout_ms, "timeout_ms")?;
    Ok(Deadline::from_timeout(clock::now(), timeout))
}

fn set_deadlines(
    conn: *mut vcp_conn,
    which: Directions,
    deadline: impl FnOnce() -> Result<Deadline>,
) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        let deadline = deadline()?;
        refuse_if_short()?;
        let (read, write) = (which.read, which.write);
        conn.set_deadlines(read.then_some(deadline), write.then_some(deadline));
        io::terms_changed(&conn);
        Ok(0)
    })
}

/// ---- DEADLINES AND THE TOKEN OF A BORROW ----
///
/// They bind the vcp_conn_* calls that read, write and wait, not I/O on the descriptor. Calls that
/// are running follow a change. Both end with the borrow.
///
/// ----
///
/// START HERE. Gives the reads, writes and waits of this borrow timeout_ms in all, from now. 0: the
/// time is over already. VCP_FOREVER: no limit.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if timeout_ms is
/// negative and not VCP_FOREVER; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub extern "C" fn vcp_conn_set_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, io::BOTH, || from_now(timeout_ms))
}

/// Gives the reads of this borrow, and its waits for VCP_READABLE, timeout_ms in all, from now. 0:
/// the time is over already. VCP_FOREVER: no limit.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if timeout_ms is
/// negative and not VCP_FOREVER; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub extern "C" fn vcp_conn_set_read_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, io::READ, || from_now(timeout_ms))
}

/// Gives the writes of this borrow, and its waits for VCP_WRITABLE, timeout_ms in all, from now. 0:
/// the time is over already. VCP_FOREVER: no limit.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if timeout_ms is
/// negative and not VCP_FOREVER; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub extern "C" fn vcp_conn_set_write_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, io::WRITE, || from_now(timeout_ms))
}

/// Lets the reads, writes and waits of this borrow go on until an absolute time, on the clock of
/// vcp_now_ms. INT64_MAX: no limit. A time in the past, and any below zero, is over already.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED, VCP_ERR_NO_MEMORY.
#[no_mangle]
pub extern "C" fn vcp_conn_set_deadline_at(conn: *mut vcp_conn, at_ms: i64) -> c_int {
    set_deadlines(conn, io::BOTH, || Ok(time::deadline_at(at_ms)))
}

/// Lets a token end the reads, writes and waits of this borrow with VCP_ERR_CANCELED, those that
/// are running too. NULL: none. The token may be freed afterwards.
///
/// Errors: VCP_ERR_INVALID_HANDLE, also if cancel is no token; VCP_ERR_CONN_CLOSED;
/// VCP_ERR_NO_MEMORY.
#[no_mangle]
pub extern "C" fn vcp_conn_set_cancel(conn: *mut vcp_conn, cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        let token = token_of(cancel)?;
        refuse_if_short()?;
        conn.set_token(token);
        io::terms_changed(&conn);
        Ok(0)
    })
}
