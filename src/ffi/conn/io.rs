//! Reading, writing and waiting.

use std::ffi::{c_int, c_void};

use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_of, vcp_conn};
use crate::pool::conn::io::{self, Directions, Seen};
use crate::values::error::{Error, Result, Status};

/// What vcp_conn_wait waits for: VCP_READABLE, VCP_WRITABLE or both, joined by |.
pub type vcp_ready = i32;

/// ---- WHAT A CONNECTION IS READY FOR ----
///
/// vcp_conn_wait takes and returns these bits.
///
/// ----
///
/// Bytes, end of stream or an error can be read.
pub const VCP_READABLE: i32 = 1;
/// There is room to write, or an error to be told.
pub const VCP_WRITABLE: i32 = 2;

/// ---- READING, WRITING, WAITING ----
///
/// These calls work in blocking and in non-blocking mode. They retry after EINTR and never raise
/// SIGPIPE. They end when the deadline of the borrow passes, its token fires, the connection is
/// closed by another thread, or the pool is aborted. By default a borrow has no deadline.
///
/// A call that fails discards the connection, also by a timeout; so does end of stream. A late
/// answer must not reach the next borrower. Exceptions: VCP_ERR_WOULD_BLOCK and
/// VCP_ERR_INVALID_ARGUMENT.
///
/// On a datagram socket a read or a write moves one datagram, which may be empty.
///
/// The bytes of a session are its driver's: all of these calls but vcp_conn_wait and
/// vcp_conn_report answer VCP_ERR_INVALID_ARGUMENT for it.
///
/// ----
///
/// START HERE. Reads at least one byte, as read(2), and waits for it. Returns how many bytes came;
/// 0 is end of stream. A size of 0 reads nothing, and returns 0, too.
///
/// Errors: VCP_ERR_INVALID_HANDLE; VCP_ERR_CONN_CLOSED, also if another thread closes the
/// connection meanwhile; VCP_ERR_INVALID_ARGUMENT if buffer is NULL and size is not 0, or for a
/// session; VCP_ERR_TIMEOUT; VCP_ERR_CANCELED; VCP_ERR_POOL_CLOSED if the pool is aborted;
/// VCP_ERR_IO; VCP_ERR_SYSTEM if there is no descriptor to wait with.
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

/// Reads exactly size bytes, and waits until they have come. Returns size, or 0 at the end of the
/// stream before the first byte. It is for stream sockets; the reads of others are whole messages,
/// and a part of one would be lost.
///
/// Errors: those of vcp_conn_read. VCP_ERR_IO, with vcp_last_errno() 0, if the stream ends between
/// the first byte and the last: the message tells how many bytes came. VCP_ERR_INVALID_ARGUMENT if
/// it is no stream socket.
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_read_full(
    conn: *mut vcp_conn,
    buffer: *mut c_void,
    size: usize,
) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        // SAFETY: the program's promise.
        let buffer = unsafe { readable(buffer, size) }?;
        io::read_full(&conn, buffer).map(|count| count as i64)
    })
}

/// START HERE. Writes all of the buffer, as write(2) in a loop, and waits for room. Returns size.
/// If it fails, a part may have been written.
///
/// Errors: VCP_ERR_INVALID_HANDLE; VCP_ERR_CONN_CLOSED, also if another thread closes the
/// connection meanwhile; VCP_ERR_INVALID_ARGUMENT if buffer is NULL and size is not 0, size is
/// above PTRDIFF_MAX, or for a session; VCP_ERR_TIMEOUT; VCP_ERR_CANCELED; VCP_ERR_POOL_CLOSED if
/// the pool is aborted; VCP_ERR_IO; VCP_ERR_SYSTEM if there is no descriptor to wait with.
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

/// Reads what is there, without waiting, in either mode of the descriptor. Returns how many bytes
/// came; 0 is end of stream; VCP_ERR_WOULD_BLOCK if nothing is there now.
///
/// Errors: VCP_ERR_WOULD_BLOCK; VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED;
/// VCP_ERR_INVALID_ARGUMENT if buffer is NULL and size is not 0, or for a session; VCP_ERR_TIMEOUT
/// if the deadline has passed; VCP_ERR_CANCELED; VCP_ERR_POOL_CLOSED if the pool was aborted;
/// VCP_ERR_IO.
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

/// Writes what there is room for, without waiting, in either mode of the descriptor. Returns how
/// many bytes went, perhaps fewer than size; VCP_ERR_WOULD_BLOCK if there is no room now.
///
/// Errors: VCP_ERR_WOULD_BLOCK; VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED;
/// VCP_ERR_INVALID_ARGUMENT if buffer is NULL and size is not 0, size is above PTRDIFF_MAX, or for
/// a session; VCP_ERR_TIMEOUT if the deadline has passed; VCP_ERR_CANCELED; VCP_ERR_POOL_CLOSED if
/// the pool was aborted; VCP_ERR_IO.
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

/// Waits until at least one of the events holds, which are VCP_READABLE, VCP_WRITABLE or both.
/// Returns the events that hold. The read deadline ends a wait for VCP_READABLE, the write deadline
/// one for VCP_WRITABLE, the earlier of them one for both.
///
/// Errors: VCP_ERR_INVALID_HANDLE; VCP_ERR_CONN_CLOSED, also if another thread closes the
/// connection meanwhile; VCP_ERR_INVALID_ARGUMENT if events is 0 or has other bits;
/// VCP_ERR_NOT_AVAILABLE for a session without a descriptor; VCP_ERR_TIMEOUT; VCP_ERR_CANCELED;
/// VCP_ERR_POOL_CLOSED if the pool is aborted; VCP_ERR_IO; VCP_ERR_SYSTEM if there is no descriptor
/// to wait with.
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

/// Ends a direction of the connection, as shutdown(2) with SHUT_RD, SHUT_WR or SHUT_RDWR. The
/// connection is not kept when it is given back.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if how is none of
/// the three, or for a session; VCP_ERR_IO if shutdown(2) fails.
#[no_mangle]
pub extern "C" fn vcp_conn_shutdown(conn: *mut vcp_conn, how: i32) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        if ![libc::SHUT_RD, libc::SHUT_WR, libc::SHUT_RDWR].contains(&how) {
            return Err(Error::invalid_argument(format!(
                "how: {how} is none of SHUT_RD, SHUT_WR, SHUT_RDWR"
            )));
        }
        io::shut_down(&conn, how).map(|()| 0)
    })
}

fn seen(result: i64, error_number: c_int) -> Result<Option<Seen>> {
    match (result, error_number) {
        (1.., _) => Ok(Some(Seen::Bytes)),
        (0, _) => Ok(Some(Seen::EndOfStream)),
        (-1, libc::EAGAIN | libc::EINTR) => Ok(None),
        (-1, 1..) => Ok(Some(Seen::Failed)),
        _ => Err(Error::invalid_argument(format!(
            "result {result} with error_number {error_number} is nothing that recv(2) tells"
        ))),
    }
}

/// Tells the library what your own I/O on the descriptor came to, or that of a driver, as recv(2)
/// tells it. result > 0: bytes were read. 0: the stream ended. -1: it failed with error_number;
/// EAGAIN and EINTR change nothing. The connection is then as if vcp_conn_read had seen it: the end
/// of the stream and a failure discard it, and vcp_conn_should_retry knows of them and of the
/// bytes.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if result is below
/// -1, or is -1 and error_number is not above 0.
#[no_mangle]
pub extern "C" fn vcp_conn_report(conn: *mut vcp_conn, result: i64, error_number: c_int) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        if let Some(seen) = seen(result, error_number)? {
            io::report(&conn, seen);
        }
        Ok(0)
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
