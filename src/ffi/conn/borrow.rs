//! `vcp_conn_*`.

use std::ffi::{c_char, c_int, c_void};

use crate::ffi::arguments::text;
use crate::ffi::callbacks::vcp_free_fn;
use crate::ffi::cancel::{token_of, vcp_cancel};
use crate::ffi::fork;
use crate::ffi::guard::guard;
use crate::ffi::pool::options;
use crate::handle::{Kept, Pin, Stale};
use crate::pool::conn::io::{self, Directions};
use crate::pool::conn::{self as flags, Conn};
use crate::pool::entry::fast_hit;
use crate::pool::entry::fork::close_copy_of_lent;
use crate::sys::foreign::UserData;
use crate::sys::{self, clock, socket};
use crate::values::clock::Deadline;
use crate::values::error::{Error, Result, Status};

/// A borrowed connection. Ends with vcp_conn_close or vcp_conn_detach.
pub struct vcp_conn {
    _private: [u8; 0],
}

/// A bit of what vcp_conn_wait waits for.
pub type vcp_ready = i32;

/// vcp_conn_wait: bytes, end of stream or an error can be read.
pub const VCP_READABLE: i32 = 1;
/// vcp_conn_wait: there is room to write, or an error to be told.
pub const VCP_WRITABLE: i32 = 2;

fn stale(stale: Stale) -> Error {
    match stale {
        Stale::Never => Error::new(Status::InvalidHandle, "not a connection handle"),
        Stale::Closed => Error::new(Status::ConnClosed, "the connection is closed"),
    }
}

fn conn_of(conn: *mut vcp_conn) -> Result<Pin<Conn>> {
    Conn::table().pin(conn as usize).map_err(stale)
}

fn refuse_in_hook(conn: &Conn, what: &str) -> Result<()> {
    if conn.has(flags::IN_HOOK) {
        return Err(Error::invalid_argument(format!(
            "{what}: a hook of the connection is running"
        )));
    }
    Ok(())
}

/// The connection's descriptor: borrowed, valid until close or detach. Do I/O on it; before closing, take it out of your
/// epoll set, uv_poll or ring and end that I/O: it stays open in the pool. Socket options that you change stay.
#[no_mangle]
pub extern "C" fn vcp_conn_raw_fd(conn: *mut vcp_conn) -> c_int {
    guard(|| Ok(conn_of(conn)?.raw_fd()))
}

/// Takes the connection out of the pool: returns its descriptor, which the caller owns from now on; the handle is dead.
/// User data is the caller's (take it before; its destructor does not run). While a read or write of it runs:
/// VCP_ERR_INVALID_ARGUMENT. Go: RawConn.
#[no_mangle]
pub extern "C" fn vcp_conn_detach(conn: *mut vcp_conn) -> c_int {
    guard(|| {
        let pin = conn_of(conn)?;
        refuse_in_hook(&pin, "vcp_conn_detach")?;
        if pin.is_running() {
            return Err(Error::invalid_argument(
                "vcp_conn_detach: a read or write of the connection is running",
            ));
        }
        let place = pin.place();
        if pin.is_shelved() {
            pin.pool().revoke(&pin, place);
        }
        drop(pin);
        let owned = Conn::table()
            .redeem(conn as usize, |busy| io::kick(busy, place))
            .map_err(stale)?;
        let pool = owned.pool().clone();
        Ok(pool.detach(owned))
    })
}

/// Do not keep it: vcp_conn_close will really close.
#[no_mangle]
pub extern "C" fn vcp_conn_discard(conn: *mut vcp_conn) -> c_int {
    guard(|| {
        conn_of(conn)?.mark(flags::DISCARDED);
        Ok(0)
    })
}

/// 1: it came from the pool, 0: it was dialed for this call. (Not that anyone spoke on it: put connections are "reused" too.)
#[no_mangle]
pub extern "C" fn vcp_conn_is_reused(conn: *mut vcp_conn) -> c_int {
    guard(|| Ok(conn_of(conn)?.has(flags::REUSED).into()))
}

/// How often it was borrowed so far, this time included.
#[no_mangle]
pub extern "C" fn vcp_conn_uses(conn: *mut vcp_conn) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        if conn.has(flags::QUICK) {
            // Borrows without the pool are counted when it looks; if somebody does so now, the lock waits for the end of it.
            conn.pool().revoke(&conn, conn.place());
        }
        Ok(conn.uses().into())
    })
}

/// Asked before close, after a failed read or write: 1 if the same request deserves one more try on another connection,
/// because this one was reused, ended by end of stream or an I/O error (not a timeout or a token), and no byte was read in this
/// borrow: most likely the peer had closed it before the request arrived. It may also have read the request and failed
/// before answering, so retry what may be done twice (RFC 9110, 9.2.2). Only vcp_conn_* calls are seen, not I/O on the raw
/// descriptor.
#[no_mangle]
pub extern "C" fn vcp_conn_should_retry(conn: *mut vcp_conn) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        let deserved = conn.has(flags::REUSED)
            && conn.has(flags::ENDED)
            && !conn.has_been_read(conn.generation());
        Ok(deserved.into())
    })
}

/// A vcp_liveness for this connection's life, over the pool's.
#[no_mangle]
pub extern "C" fn vcp_conn_set_liveness(conn: *mut vcp_conn, liveness: i32) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        conn.set_liveness(options::liveness(liveness)?);
        Ok(0)
    })
}

/// The token that ends this borrow's reads, writes and waits with VCP_ERR_CANCELED, running ones included; NULL: none.
/// One that ends so discards the connection.
#[no_mangle]
pub extern "C" fn vcp_conn_set_cancel(conn: *mut vcp_conn, cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        conn.set_token(token_of(cancel)?);
        io::terms_changed(&conn);
        Ok(0)
    })
}

/// Waits until at least one of the events (VCP_READABLE, VCP_WRITABLE) holds, and returns those that hold. The earlier
/// of the deadlines asked for, the token, and a close end it. A wait that fails discards the connection as a failed read or write would.
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
    // SAFETY: the caller's promise. The bytes may be uninitialised; they are only passed on to the kernel.
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

/// As read(2), without waiting, whatever the descriptor's mode: VCP_ERR_WOULD_BLOCK when there is nothing now.
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

/// As write(2), without waiting, whatever the descriptor's mode; may move a part. VCP_ERR_WOULD_BLOCK when there is no room
/// now.
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

/// Gives the connection back: it is kept for the next borrower, or closed if it was discarded, is unfit or there is no room.
/// VCP_OK either way; a second close is VCP_ERR_CONN_CLOSED. NULL is VCP_OK. A read or write that runs on another thread ends
/// with VCP_ERR_CONN_CLOSED first, and then the connection is not kept.
#[no_mangle]
pub extern "C" fn vcp_conn_close(conn: *mut vcp_conn) -> c_int {
    if fast_hit::give_back(conn as usize) {
        return 0;
    }
    close(conn)
}

#[cold]
#[inline(never)]
fn close(conn: *mut vcp_conn) -> c_int {
    guard(|| {
        if conn.is_null() {
            return Ok(0);
        }
        let pin = Conn::table().pin(conn as usize).map_err(|error| {
            close_copy_of_lent(conn as usize);
            stale(error)
        })?;
        refuse_in_hook(&pin, "vcp_conn_close")?;
        let place = pin.place();
        if pin.is_shelved() {
            pin.pool().revoke(&pin, place);
        }
        drop(pin);
        let owned = Conn::table()
            .redeem(conn as usize, |busy| io::kick(busy, place))
            .map_err(stale)?;
        let pool = owned.pool().clone();
        pool.give_back(owned);
        Ok(0)
    })
}

/// As read(2), in blocking and non-blocking mode alike: waits for the first byte, honours the deadline, retries EINTR,
/// 0 at end of stream. On a datagram socket one datagram. Any failure, a timeout and end of stream included, marks the
/// connection discarded: a late answer must not reach the next borrower.
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

fn set_deadlines(conn: *mut vcp_conn, timeout_ms: i64, read: bool, write: bool) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        let deadline = Deadline::from_timeout(clock::now(), timeout_ms);
        conn.set_deadlines(read.then_some(deadline), write.then_some(deadline));
        io::terms_changed(&conn);
        Ok(0)
    })
}

/// Until when reads and writes of this borrow may take, from now; < 0: no deadline; 0 has passed already. Running ones follow
/// it. Binds vcp_conn_* calls, not I/O on the raw descriptor, and ends with the borrow.
#[no_mangle]
pub extern "C" fn vcp_conn_set_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, timeout_ms, true, true)
}

/// The same for reads.
#[no_mangle]
pub extern "C" fn vcp_conn_set_read_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, timeout_ms, true, false)
}

/// The same for writes.
#[no_mangle]
pub extern "C" fn vcp_conn_set_write_deadline(conn: *mut vcp_conn, timeout_ms: i64) -> c_int {
    set_deadlines(conn, timeout_ms, false, true)
}

/// # Safety
/// `buffer` has `size` writable bytes, or is NULL.
unsafe fn tell(
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
    unsafe { tell(conn, buffer, size, local) }
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
    unsafe { tell(conn, buffer, size, remote) }
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
        tell(conn, buffer, size, |conn| {
            Ok(conn.destination().address.network.to_string())
        })
    }
}

/// The address of its destination, in canonical form (numbers for service names, the shortest form of an IP literal).
#[no_mangle]
pub unsafe extern "C" fn vcp_conn_address(
    conn: *mut vcp_conn,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    // SAFETY: the program's promise.
    unsafe {
        tell(conn, buffer, size, |conn| {
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
        tell(conn, buffer, size, |conn| {
            Ok(conn.destination().tag.to_string())
        })
    }
}

/// Lets a pointer of the program ride on the connection, through idle periods too: a TLS session, a parser. free_data
/// (may be NULL) runs once, before the descriptor is closed, on the thread that closes it (a helper thread of the library
/// for background work), with the descriptor in non-blocking mode; not after detach, and not in a forked child. Setting it again frees what
/// was there, at once and with the descriptor as it is, unless it is the same pointer; data NULL frees it and sets none, and free_data is not
/// called with NULL. A set_data that fails leaves the data yours. What free_data writes by itself (SSL_shutdown does) may raise SIGPIPE where
/// the peer has gone: the library raises none, and ignores none for you.
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

/// The pointer given to vcp_conn_set_data; NULL if there is none, and for a handle that is not live.
#[no_mangle]
pub extern "C" fn vcp_conn_data(conn: *mut vcp_conn) -> *mut c_void {
    fork::enter();
    std::panic::catch_unwind(|| conn_of(conn).ok().and_then(|conn| conn.data()))
        .ok()
        .flatten()
        .unwrap_or(std::ptr::null_mut())
}
