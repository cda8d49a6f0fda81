//! User data.

use std::ffi::{c_int, c_void};

use crate::ffi::callback_types::vcp_free_fn;
use crate::ffi::fork;
use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_of, vcp_conn};
use crate::sys::foreign::UserData;

/// Lets a pointer of the program ride on the connection, through idle periods too: a TLS session, a
/// parser. free_data (may be NULL) runs once, before the descriptor is closed, on the thread that
/// closes it (a helper thread of the library for background work), with the descriptor in
/// non-blocking mode; not after detach, and not in a forked child. Setting it again frees what was
/// there, at once and with the descriptor as it is, unless it is the same pointer; data NULL frees
/// it and sets none, and free_data is not called with NULL. A set_data that fails leaves the data
/// yours. What free_data writes by itself (SSL_shutdown does) may raise SIGPIPE where the peer has
/// gone: the library raises none, and ignores none for you.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_set_data(
    conn: *mut vcp_conn,
    data: *mut c_void,
    free_data: vcp_free_fn,
) -> c_int {
    guard(|| {
        let new = (!data.is_null()).then(|| UserData::new(data, free_data));
        let old = conn_of(conn)?.set_data(new);
        // The pin is gone: the destructor may close the connection.
        if let Some(old) = old {
            old.free();
        }
        Ok(0)
    })
}

/// The pointer given to vcp_conn_set_data; NULL if there is none, and for a handle that is not
/// live.
#[no_mangle]
pub extern "C" fn vcp_conn_data(conn: *mut vcp_conn) -> *mut c_void {
    fork::enter();
    std::panic::catch_unwind(|| conn_of(conn).ok().and_then(|conn| conn.data()))
        .ok()
        .flatten()
        .unwrap_or(std::ptr::null_mut())
}
