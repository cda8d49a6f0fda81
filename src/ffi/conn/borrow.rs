//! A borrow of a connection: its end, and what is known of it.

use std::ffi::c_int;

use crate::ffi::basics::enums;
use crate::ffi::guard::guard;
use crate::ffi::handles::{conn_error, conn_of, vcp_conn};
use crate::handle::Kept;
use crate::pool::conn::{self as flags, io, Conn};
use crate::pool::entry::fast_hit;
use crate::pool::entry::fork::close_copy_of_lent;
use crate::values::error::{Error, Result};

fn refuse_in_hook(conn: &Conn, what: &str) -> Result<()> {
    if conn.has(flags::IN_HOOK) {
        return Err(Error::invalid_argument(format!(
            "{what}: a hook of the connection is running"
        )));
    }
    Ok(())
}

/// The connection's descriptor: borrowed, valid until close or detach. Do I/O on it; before
/// closing, take it out of your epoll set, uv_poll or ring and end that I/O: it stays open in the
/// pool. Socket options that you change stay.
#[no_mangle]
pub extern "C" fn vcp_conn_raw_fd(conn: *mut vcp_conn) -> c_int {
    guard(|| Ok(conn_of(conn)?.raw_fd()))
}

/// Takes the connection out of the pool: returns its descriptor, which is the caller's; the handle
/// is dead. User data is the caller's (take it before; its destructor does not run). While a read
/// or write of it runs: VCP_ERR_INVALID_ARGUMENT. Go: RawConn.
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
            .map_err(conn_error)?;
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

/// 1: it came from the pool, 0: it was dialed for this call. (Not that anyone spoke on it: put
/// connections are "reused" too.)
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
            // Borrows by the fast path are counted when the pool revokes it; the lock waits for a
            // thread that does so now.
            conn.pool().revoke(&conn, conn.place());
        }
        Ok(conn.uses().into())
    })
}

/// Asked before close, after a failed read or write: 1 if the same request deserves one more try on
/// another connection, because this one was reused, ended by end of stream or an I/O error (not a
/// timeout or a token), and no byte was read in this borrow: most likely the peer had closed it
/// before the request arrived. It may also have read the request and failed before answering, so
/// retry what may be done twice (RFC 9110, 9.2.2). Only vcp_conn_* calls are seen, not I/O on the
/// raw descriptor.
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
        conn.set_liveness(enums::liveness(liveness)?);
        Ok(0)
    })
}

/// Gives the connection back: it is kept for the next borrower, or closed if it was discarded, is
/// unfit or there is no room. VCP_OK either way; a second close is VCP_ERR_CONN_CLOSED. NULL is
/// VCP_OK. A read or write that runs on another thread ends with VCP_ERR_CONN_CLOSED first, and
/// then the connection is not kept.
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
            conn_error(error)
        })?;
        refuse_in_hook(&pin, "vcp_conn_close")?;
        let place = pin.place();
        if pin.is_shelved() {
            pin.pool().revoke(&pin, place);
        }
        drop(pin);
        let owned = Conn::table()
            .redeem(conn as usize, |busy| io::kick(busy, place))
            .map_err(conn_error)?;
        let pool = owned.pool().clone();
        pool.give_back(owned);
        Ok(0)
    })
}
