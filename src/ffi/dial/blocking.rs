//! `vcp_dial` and `vcp_dial_with`.

use std::ffi::{c_char, c_int};

use super::fast_path::{fast_dial, key, try_fast_path, Missed};
use super::options::{read_options, vcp_dial_options};
use super::request::read_dial;
use crate::ffi::arguments::address::Asked;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{pool_of, vcp_conn, vcp_pool};
use crate::pool::thread_cache::{self, OwnedKey};
use crate::values::error::Error;

/// START HERE. Borrows a connection, as vcp_dial_with with all defaults: an idle one of the
/// destination, else a new one. Returns its descriptor, and *conn is its handle. The descriptor
/// stays the pool's: never close(2) it; vcp_conn_close(*conn) gives it back.
///
/// Errors: those of vcp_dial_with, except VCP_ERR_CANCELED and VCP_ERR_NOT_AVAILABLE.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    conn: *mut *mut vcp_conn,
) -> c_int {
    // SAFETY: the program's promises.
    unsafe {
        match fast_dial(pool, network, address, std::ptr::null(), conn) {
            Ok(fd) => fd,
            Err(missed) => dial(pool, network, address, std::ptr::null(), conn, missed),
        }
    }
}

/// START HERE. Borrows a connection: an idle one of (network, address, reuse tag) that is fit, else
/// a new one. Returns its descriptor, and *conn is its handle; *conn is NULL after a failure. The
/// descriptor stays the pool's: never close(2) it; vcp_conn_close(*conn) gives it back. NULL
/// options: all defaults. For a session without a descriptor it returns 0.
///
/// Example:
///
///     vcp_dial_options options;
///     vcp_dial_options_init(&options, sizeof options);
///     options.timeout_ms = 2000;
///     options.reuse_tag = "user=alice"; // hers are not reused for others
///     if (vcp_dial_with(pool, "tcp", "db.local:5432", &options, &conn) < 0)
///         fprintf(stderr, "%s\n", vcp_last_error());
///
/// Errors:
///
///     VCP_ERR_INVALID_ARGUMENT   conn, network or address is NULL, or an option is wrong
///     VCP_ERR_INVALID_HANDLE     pool or options->cancel is no handle
///     VCP_ERR_POOL_CLOSED        the pool was closed or drained, before the call or while it ran
///     VCP_ERR_UNKNOWN_NETWORK    there is no such network (see DIALING)
///     VCP_ERR_INVALID_ADDRESS    the address does not have its network's form
///     VCP_ERR_RESOLVE            the name has no address, or the resolver failed
///     VCP_ERR_CONNECT            no address could be connected to
///     VCP_ERR_TIMEOUT            the time is over; vcp_last_phase() tells what took it
///     VCP_ERR_CANCELED           the token fired
///     VCP_ERR_POOL_EXHAUSTED     a limit is reached, and the dial does not wait; or max_waiters is
///     VCP_ERR_NOT_AVAILABLE      VCP_DIAL_REUSE_ONLY, and nothing is idle
///     VCP_ERR_CALLBACK           a callback refused
///     VCP_ERR_SYSTEM             no descriptor or thread is to be had, not even by closing the
///                                longest idle connection
///     VCP_ERR_NO_MEMORY          memory ran out
#[no_mangle]
pub unsafe extern "C" fn vcp_dial_with(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    conn: *mut *mut vcp_conn,
) -> c_int {
    // SAFETY: the program's promises.
    unsafe {
        match try_fast_path(pool, network, address, options, conn) {
            Ok(fd) => fd,
            Err(missed) => dial(pool, network, address, options, conn, missed),
        }
    }
}

/// # Safety
/// As [`vcp_dial_with`].
#[cold]
#[inline(never)]
unsafe fn dial(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    conn: *mut *mut vcp_conn,
    missed: Missed,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promises.
        let asked = unsafe { Asked::new("dial", network, address) };
        if conn.is_null() {
            return Err(Error::invalid_argument("conn is NULL").of(asked.describe()));
        }
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *conn = std::ptr::null_mut() };
        // SAFETY: as above.
        let (owner, destination, mut borrow, name) = asked.name_in(|asked| unsafe {
            let owner = pool_of(pool)?;
            let raw = read_options(options)?;
            let key = key(pool, network, address, raw.reuse_tag);
            let (destination, borrow) = read_dial(&owner, asked, raw, &key)?;
            refuse_if_short()?;
            // Before a callback runs, which may change the texts.
            let name = key.as_ref().and_then(OwnedKey::new);
            Ok((owner, destination, borrow, name))
        })?;
        borrow.found_unfit = missed.unfit;
        let borrowed = owner.borrow(&destination, &borrow)?;
        let fd = borrowed.lent_fd();
        if let Some(name) = name {
            thread_cache::remember(&name, &borrowed);
        }
        // SAFETY: as above.
        unsafe { *conn = borrowed.lend_out() as *mut vcp_conn };
        Ok(fd)
    })
}
