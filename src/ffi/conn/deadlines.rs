//! What ends reads, writes and waits: deadlines and a token.

use std::ffi::c_int;

use crate::ffi::arguments::time;
use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_of, token_of, vcp_cancel, vcp_conn};
use crate::pool::conn::io;
use crate::sys::clock;
use crate::values::clock::Deadline;

fn set_deadlines(conn: *mut vcp_conn, timeout_ms: i64, read: bool, write: bool) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        let timeout = time::timeout(timeout_ms, "timeout_ms")?;
        let deadline = Deadline::from_timeout(clock::now(), timeout);
        conn.set_deadlines(read.then_some(deadline), write.then_some(deadline));
        io::terms_changed(&conn);
        Ok(0)
    })
}

/// Until when reads and writes of this borrow may take, from now; < 0: no deadline; 0 has passed
/// already. Running ones follow it. Binds vcp_conn_* calls, not I/O on the raw descriptor, and ends
/// with the borrow.
#[no_mangle]
pub extern "C" fn vcp_conn_set_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, timeout_ms, true, true)
}

/// As vcp_conn_set_deadline, for reads only.
#[no_mangle]
pub extern "C" fn vcp_conn_set_read_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, timeout_ms, true, false)
}

/// As vcp_conn_set_deadline, for writes only.
#[no_mangle]
pub extern "C" fn vcp_conn_set_write_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, timeout_ms, false, true)
}

/// The token that ends this borrow's reads, writes and waits with VCP_ERR_CANCELED, running ones
/// included; NULL: none. One that ends so discards the connection.
#[no_mangle]
pub extern "C" fn vcp_conn_set_cancel(conn: *mut vcp_conn, cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        conn.set_token(token_of(cancel)?);
        io::terms_changed(&conn);
        Ok(0)
    })
}
