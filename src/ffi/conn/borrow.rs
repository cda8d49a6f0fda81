//! A borrow of a connection: its end, and what is known of it.

use std::ffi::c_int;

use crate::ffi::basics::enums;
use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_error, conn_of, vcp_conn};
use crate::handle::Kept;
use crate::pool::conn::{self as flags, io, Conn};
use crate::pool::entry::fast_hit;
use crate::pool::entry::fork::close_copy_of_lent;
use crate::pool::errors::no_descriptor;
use crate::sys::clock;
use crate::values::error::{Error, Result};

const NANOS_PER_MS: i64 = 1_000_000;

fn refuse_in_hook(conn: &Conn, what: &str) -> Result<()> {
    if conn.has(flags::IN_HOOK) || conn.is_asked_about() {
        return Err(Error::invalid_argument(format!(
            "{what}: a hook of the connection is running"
        )));
    }
    Ok(())
}

/// ---- THE BORROWED CONNECTION ----
///
/// A borrow lasts from a dial until vcp_conn_close or vcp_conn_detach.
///
/// ----
///
/// Returns the connection's descriptor, to do I/O on. It is borrowed: never close(2) it. It is
/// valid until vcp_conn_close or vcp_conn_detach. Before you close the connection, take the
/// descriptor out of your epoll set, uv_poll or ring, and end your I/O on it: it stays open in the
/// pool. Socket options that you change stay changed. The descriptor of a session is its driver's.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_NOT_AVAILABLE for a session without
/// a descriptor.
#[no_mangle]
pub extern "C" fn vcp_conn_raw_fd(conn: *mut vcp_conn) -> c_int {
    guard(|| match conn_of(conn)?.raw_fd() {
        -1 => Err(no_descriptor()),
        fd => Ok(fd),
    })
}

/// Takes the connection out of the pool. Returns its descriptor, which is the caller's to close; 0
/// for a session without one. The handle is dead. The user data is the caller's too: fetch it
/// before; free_data does not run. A detached session is wholly yours. Go: RawConn.
///
/// Threads: any, but no hook of the connection.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT while a read,
/// write, wait or hook of the connection runs.
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
        let slot = pin.slot_id();
        if pin.is_biased() {
            pin.pool().revoke(&pin, slot);
        }
        drop(pin);
        let owned = Conn::table()
            .take_back(conn as usize, |busy| io::kick(busy, slot))
            .map_err(conn_error)?;
        let pool = owned.pool().clone();
        Ok(pool.detach(owned))
    })
}

/// START HERE. Marks the connection as unfit for another borrower: vcp_conn_close will really close
/// it. Call it when something is left of an answer, or the protocol is in an unknown state.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_conn_discard(conn: *mut vcp_conn) -> c_int {
    guard(|| {
        conn_of(conn)?.mark(flags::DISCARDED);
        Ok(0)
    })
}

/// Returns 1 if the connection came from the pool, and 0 if it was dialed for this borrow.
/// Connections that were put or dialed ahead come from the pool, though nobody has spoken on them.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_conn_is_reused(conn: *mut vcp_conn) -> c_int {
    guard(|| Ok(conn_of(conn)?.has(flags::REUSED).into()))
}

/// Returns how often the connection has been borrowed, this time included.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_conn_uses(conn: *mut vcp_conn) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        if conn.has(flags::FAST_PATH) {
            // Borrows by the fast path are counted when the pool revokes it; the lock waits for a
            // thread that does so now.
            conn.pool().revoke(&conn, conn.slot_id());
        }
        Ok(conn.uses().into())
    })
}

/// Returns for how many milliseconds the connection had been idle before this borrow, to about 10
/// ms; 0 if it was dialed for this borrow. Inside on_idle: for how long it has been idle by now.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_conn_idle_ms(conn: *mut vcp_conn) -> i64 {
    guard(|| {
        let conn = conn_of(conn)?;
        let idle_before = if conn.has(flags::REUSED) {
            conn.idle_before()
        } else {
            0
        };
        Ok(idle_before.max(0) / NANOS_PER_MS)
    })
}

/// Returns for how many milliseconds the pool has had the connection, over all of its borrows:
/// since it was dialed or opened, or came by put, add or put_session.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED.
#[no_mangle]
pub extern "C" fn vcp_conn_age_ms(conn: *mut vcp_conn) -> i64 {
    guard(|| {
        let opened_at = conn_of(conn)?.opened_at();
        Ok(clock::now().since(opened_at).as_millis() as i64)
    })
}

/// Tells whether the same request deserves one more try on another connection. Ask it after a
/// failed read or write, before vcp_conn_close. Returns 1 if it does, and else 0.
///
/// It does if three things hold. The connection was reused. It ended by end of stream or an I/O
/// error, not by a timeout, a token or vcp_pool_abort. No byte was read in this borrow. Then most
/// likely the peer had closed it before the request arrived. But it may have read the request and
/// failed before it answered, so retry only what may be done twice (RFC 9110, section 9.2.2).
///
/// It knows what vcp_conn_* calls met, and what vcp_conn_report told; it does not see I/O on the
/// descriptor. So report each answer that your own I/O or a driver has read: without that it is 1
/// even after an answer, and two statements in one borrow may be done twice.
///
/// Example:
///
///     for (int again = 1; again && vcp_dial(pool, "tcp", "db.local:6379", &conn) >= 0;) {
///         char answer[512];
///         vcp_conn_set_deadline(conn, 2000);
///         again = vcp_conn_write(conn, "PING\r\n", 6) < 0 ||
///                 vcp_conn_read(conn, answer, sizeof answer) <= 0;
///         again = again && vcp_conn_should_retry(conn) == 1;
///         vcp_conn_close(conn);
///     }
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED.
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

/// Sets how this connection is checked before it is handed out, for all of its life: a
/// vcp_liveness, instead of the pool's. on_open is a good place for it.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_CONN_CLOSED; VCP_ERR_INVALID_ARGUMENT if liveness is
/// unknown.
#[no_mangle]
pub extern "C" fn vcp_conn_set_liveness(conn: *mut vcp_conn, liveness: i32) -> c_int {
    guard(|| {
        let conn = conn_of(conn)?;
        conn.set_liveness(enums::liveness(liveness)?);
        Ok(0)
    })
}

/// START HERE. Gives the connection back. NULL is VCP_OK. The handle is dead.
///
/// The connection is kept for the next borrower. It is closed if it was discarded, if it is unfit,
/// or if there is no room for it; the result is VCP_OK all the same. If another thread reads,
/// writes or waits on it, that call ends with VCP_ERR_CONN_CLOSED first, and the connection is
/// closed.
///
/// Threads: any, but no hook of the connection.
///
/// Errors: VCP_ERR_INVALID_HANDLE; VCP_ERR_CONN_CLOSED, for a second close too;
/// VCP_ERR_INVALID_ARGUMENT inside a hook of the connection.
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
        if conn.is_null() || fast_hit::give_back_session(conn as usize) {
            return Ok(0);
        }
        let pin = Conn::table().pin(conn as usize).map_err(|error| {
            close_copy_of_lent(conn as usize);
            conn_error(error)
        })?;
        refuse_in_hook(&pin, "vcp_conn_close")?;
        let slot = pin.slot_id();
        if pin.is_biased() {
            pin.pool().revoke(&pin, slot);
        }
        drop(pin);
        let owned = Conn::table()
            .take_back(conn as usize, |busy| io::kick(busy, slot))
            .map_err(conn_error)?;
        let pool = owned.pool().clone();
        pool.give_back(owned);
        Ok(0)
    })
}
