//! Where a connection leads.

use std::ffi::c_char;

use crate::ffi::arguments::text;
use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_of, vcp_conn};
use crate::pool::conn::Conn;
use crate::sys::{self, socket};
use crate::values::error::{Error, Result, Status};

/// The connection's own address, as in vcp_dial; "" for a unix socket without a name.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_local_address(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    let local = |conn: &Conn| {
        let local = socket::local(conn.fd()).map_err(|error| {
            let errno = sys::errno(&error);
            Error::new(
                Status::Io,
                format!("getsockname: {}", sys::errno_text(errno)),
            )
            .numbered(errno)
        })?;
        let has_port = conn.destination().address.network.has_port();
        Ok(local.map(|local| local.text(has_port)).unwrap_or_default())
    };
    // SAFETY: the program's promise.
    unsafe { write_text(conn, buffer, size, local) }
}

/// The peer's address, as it was when the connection was opened; "" for a peer without a name.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_remote_address(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    let remote = |conn: &Conn| {
        let has_port = conn.destination().address.network.has_port();
        Ok(conn
            .remote()
            .map(|remote| remote.text(has_port))
            .unwrap_or_default())
    };
    // SAFETY: the program's promise.
    unsafe { write_text(conn, buffer, size, remote) }
}

/// The network of its destination.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_network(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    // SAFETY: the program's promise.
    unsafe {
        write_text(conn, buffer, size, |conn| {
            Ok(conn.destination().address.network.to_string())
        })
    }
}

/// The address of its destination, in canonical form (numbers for service names, the shortest form
/// of an IP literal).
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_address(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    // SAFETY: the program's promise.
    unsafe {
        write_text(conn, buffer, size, |conn| {
            Ok(conn.destination().address.text.to_string())
        })
    }
}

/// The reuse tag of its destination.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_reuse_tag(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    // SAFETY: the program's promise.
    unsafe {
        write_text(conn, buffer, size, |conn| {
            Ok(conn.destination().tag.to_string())
        })
    }
}

/// # Safety
/// `buffer` has `size` writable bytes, or is NULL.
unsafe fn write_text(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
    what: impl FnOnce(&Conn) -> Result<String>,
) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        // SAFETY: the caller's promise.
        unsafe { text::write_out(&what(&conn)?, buffer, size) }
    })
}
