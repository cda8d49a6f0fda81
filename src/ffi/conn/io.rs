//! Reading, writing and waiting.

use std::ffi::{c_int, c_void};

use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_of, vcp_conn};
use crate::pool::conn::io::{self, Directions};
use crate::values::error::{Error, Result, Status};

/// A bit of what vcp_conn_wait waits for.
pub type vcp_ready = i32;

/// vcp_conn_wait: bytes, end of stream or an error can be read.
pub const VCP_READABLE: i32 = 1;
/// vcp_conn_wait: there is room to write, or an error to be told.
pub const VCP_WRITABLE: i32 = 2;

/// As read(2), in blocking and non-blocking mode alike: waits for the first byte, honours the
/// deadline, retries EINTR, 0 at end of stream. On a datagram socket one datagram. Any failure, a
/// timeout and end of stream included, marks the connection discarded: a late answer must not reach
/// the next borrower.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_read(
    conn: *mut vcp_conn,
    buffer: *mut c_void,
    size: usize,
) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        // SAFETY: the program's promise.
        let buffer = unsafe { readable(buffer, size) }?;
        io::read(&conn, buffer).map(|count| count as i64)
    })
}

/// Writes all of it and returns size, or fails; as vcp_conn_read otherwise. Never raises SIGPIPE.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_write(
    conn: *mut vcp_conn,
    buffer: *const c_void,
    size: usize,
) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        // SAFETY: the program's promise.
        let bytes = unsafe { writable(buffer, size) }?;
        io::write(&conn, bytes).map(|count| count as i64)
    })
}

/// As read(2), without waiting, whatever the descriptor's mode: VCP_ERR_WOULD_BLOCK when there is
/// nothing now.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_try_read(
    conn: *mut vcp_conn,
    buffer: *mut c_void,
    size: usize,
) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        // SAFETY: the program's promise.
        let buffer = unsafe { readable(buffer, size) }?;
        let count = io::try_read(&conn, buffer)?;
        count
            .map(|count| count as i64)
            .ok_or_else(|| would_block("read"))
    })
}

/// As write(2), without waiting, whatever the descriptor's mode; may move a part.
/// VCP_ERR_WOULD_BLOCK when there is no room now.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_try_write(
    conn: *mut vcp_conn,
    buffer: *const c_void,
    size: usize,
) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        // SAFETY: the program's promise.
        let bytes = unsafe { writable(buffer, size) }?;
        let count = io::try_write(&conn, bytes)?;
        count
            .map(|count| count as i64)
            .ok_or_else(|| would_block("write"))
    })
}

/// Waits until at least one of the events (VCP_READABLE, VCP_WRITABLE) holds, and returns those
/// that hold. The earlier of the deadlines asked for, the token, and a close end it. A wait that
/// fails discards the connection as a failed read or write would.
#[no_mangle]
pub extern "C" fn vcp_conn_wait(conn: *mut vcp_conn, events: i32) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        if events == 0 || events & !(VCP_READABLE | VCP_WRITABLE) != 0 {
            return Err(Error::invalid_argument(format!(
                "events: {events} is no set of VCP_READABLE, VCP_WRITABLE"
            )));
        }
        let asked = Directions {
            read: events & VCP_READABLE != 0,
            write: events & VCP_WRITABLE != 0,
        };
        let ready = io::wait(&conn, asked)?;
        let bit = |is: bool, bit| if is { bit } else { 0 };
        Ok(bit(ready.read, VCP_READABLE) | bit(ready.write, VCP_WRITABLE))
    })
}

/// A buffer to read into; no more than the kernel moves at once (read(2)).
///
/// # Safety
/// `buffer` has `size` writable bytes, or is NULL.
unsafe fn readable<'a>(buffer: *mut c_void, size: usize) -> Result<&'a mut [u8]> {
    if size == 0 {
        return Ok(&mut []);
    }
    if buffer.is_null() {
        return Err(Error::invalid_argument("buffer is NULL and size is not 0"));
    }
    let size = size.min(isize::MAX as usize);
    // SAFETY: the caller's promise. The bytes may be uninitialised; they are only passed on to the
    // kernel.
    Ok(unsafe { std::slice::from_raw_parts_mut(buffer.cast(), size) })
}

/// # Safety
/// `buffer` has `size` readable bytes, or is NULL.
unsafe fn writable<'a>(buffer: *const c_void, size: usize) -> Result<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    if buffer.is_null() {
        return Err(Error::invalid_argument("buffer is NULL and size is not 0"));
    }
    if size > isize::MAX as usize {
        return Err(Error::invalid_argument("size is larger than any object"));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(buffer.cast(), size) })
}

fn would_block(what: &str) -> Error {
    Error::new(
        Status::WouldBlock,
        format!("{what}: nothing can be moved now"),
    )
}
