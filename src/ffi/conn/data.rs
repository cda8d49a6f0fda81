//! User data.

use std::ffi::{c_int, c_void};

use crate::ffi::callback_types::vcp_free_fn;
use crate::ffi::fork;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{conn_of, vcp_conn};
use crate::sys::foreign::UserData;
use crate::values::error::Error;

/// ---- DATA OF THE PROGRAM THAT RIDES ON A CONNECTION ----
///
/// ----
///
/// Lets a pointer ride on the connection, through idle periods too: a TLS session, a parser.
///
/// free_data, which may be NULL, runs once, when the connection is closed: before its descriptor
/// is, on the thread that closes it, with the descriptor in non-blocking mode. It does not run
/// after vcp_conn_detach, or in a forked child. What it writes by itself (SSL_shutdown does) may
/// raise SIGPIPE if the peer has gone.
///
/// Set again, what was there before is freed at once, unless it is the same pointer. NULL data
/// frees it and sets none. If this call fails, the data stays yours.
///
/// The data of a session is the session itself: only its free_data can be set anew.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT for other data of
/// a session; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_set_data(
    conn: *mut vcp_conn,
    data: *mut c_void,
    free_data: vcp_free_fn,
) -> c_int {
    guard(|| {
        let new = (!data.is_null()).then(|| UserData::new(data, free_data));
        let conn = conn_of(conn)?;
        if conn.is_session() && conn.data() != Some(data) {
            return Err(Error::invalid_argument(
                "vcp_conn_set_data: the data of a session is the session",
            ));
        }
        refuse_if_short()?;
        let old = conn.set_data(new);
        drop(conn);
        // The pin is gone: the destructor may close the connection.
        if let Some(old) = old {
            old.free();
        }
        Ok(0)
    })
}

/// The pointer that vcp_conn_set_data was given; NULL if there is none, or conn is no live handle.
/// It sets no error.
#[no_mangle]
pub extern "C" fn vcp_conn_data(conn: *mut vcp_conn) -> *mut c_void {
    fork::enter();
    std::panic::catch_unwind(|| conn_of(conn).ok().and_then(|conn| conn.data()))
        .ok()
        .flatten()
        .unwrap_or(std::ptr::null_mut())
}
