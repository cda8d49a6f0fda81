//! Where a connection leads.

use std::ffi::c_char;

use crate::ffi::arguments::text;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{conn_of, vcp_conn};
use crate::pool::conn::Conn;
use crate::sys::{self, socket};
use crate::values::error::{Error, Result, Status};

/// ---- WHERE A CONNECTION LEADS ----
///
/// Each of these functions writes a text to buffer as snprintf(3) does, and returns its length
/// without the NUL. A result that is not below size means that the text was cut off. buffer may be
/// NULL if size is 0.
///
/// ----
///
/// Writes the connection's own address; "" for a unix socket without a name, and for a session
/// without a descriptor.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if buffer is NULL
/// and size is not 0; VCP_ERR_NO_MEMORY; VCP_ERR_IO if getsockname(2) fails.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_local_address(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    let local = |conn: &Conn| {
        let Some(fd) = conn.fd() else {
            return Ok(String::new());
        };
        let local = socket::local(fd).map_err(|error| {
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

/// Writes the peer's address, as it was when the connection was opened; "" for a peer without a
/// name.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if buffer is NULL
/// and size is not 0; VCP_ERR_NO_MEMORY.
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

/// Writes the network of the destination, as it was dialed.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if buffer is NULL
/// and size is not 0; VCP_ERR_NO_MEMORY.
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

/// Writes the address of the destination, as it was dialed, before rewrite: in on_open, the name
/// for TLS and for credentials comes from here. It is in canonical form, with a number for the name
/// of a service and the shortest form of an IP literal.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if buffer is NULL
/// and size is not 0; VCP_ERR_NO_MEMORY.
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

/// Writes the reuse tag of the destination.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if buffer is NULL
/// and size is not 0; VCP_ERR_NO_MEMORY.
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
        refuse_if_short()?;
        // SAFETY: the caller's promise.
        unsafe { text::write_out(&what(&conn)?, buffer, size) }
    })
}
