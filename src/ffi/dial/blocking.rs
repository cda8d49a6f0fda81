//! `vcp_dial` and `vcp_dial_with`.

use std::ffi::{c_char, c_int};

use super::fast_path::{fast_dial, key, try_fast_path, Missed};
use super::options::{read_options, vcp_dial_options};
use super::request::read_dial;
use crate::ffi::arguments::address::Asked;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_conn, vcp_pool};
use crate::pool::hints::{self, Named};
use crate::values::error::Error;

/// vcp_dial_with with all defaults.
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

/// Borrows a connection: an idle one of the destination that is fit, else a new one. Returns its
/// descriptor, which is borrowed (never close(2) it), and sets *conn; a failure sets *conn to NULL.
///
/// Networks, as Go: tcp tcp4 tcp6 udp udp4 udp6 unix unixgram unixpacket, and raw ip ip4 ip6 with
/// their protocol (ip4:icmp, ip6:58). Addresses: host:port, [v6%zone]:port, :port (loopback:
/// 127.0.0.1, or ::1 for the 6 networks), service names for ports (services(5)); a path or
/// @abstract for unix networks, at most 107 bytes; a bare host for ip networks. An empty port is
/// invalid, port 0 is dialed as given. A literal of the wrong family (tcp4, [::1]:80) is
/// VCP_ERR_RESOLVE. IPv4 mapped into IPv6 is IPv4, as in Go.
///
/// Resolving. A name is looked up only for a new connection, by one getaddrinfo(3) for both
/// families (hosts file, search domains and nsswitch.conf(5) hold), on a thread of the library: the
/// dial ends on time even if the name server hangs. Dials of one name at the same time share one
/// lookup; what it answers too late is dropped, or kept for dns_cache_ms. At most 64 names are
/// looked up at once; names that timed out within the last minute get at most half of these places.
///
/// Racing. A name's addresses are tried as RFC 8305 has it: families interleaved after the system's
/// order (RFC 6724), the first one's family first; the next one after fallback_delay_ms (section
/// 5), or at once when one fails; at most 6 at once, of which the oldest makes room after 2 s; the
/// first to connect wins and the others are closed. Where a resolve callback delivers IPv4 first,
/// IPv6 gets 50 ms to arrive (section 3). An address that failed within the last minute, or was
/// unanswered when another one won, is tried last.
///
/// Errors. VCP_ERR_CONNECT names every address tried with its error, and vcp_last_errno() is the
/// first address's. VCP_ERR_TIMEOUT: vcp_last_phase() says whether it was waiting, resolving,
/// connecting or opening (in a hook). VCP_ERR_POOL_EXHAUSTED: at a limit, and not waiting.
/// VCP_ERR_CANCELED: the token fired. VCP_ERR_CALLBACK: a callback refused. VCP_ERR_SYSTEM: no
/// descriptor, memory or thread was to be had; on EMFILE the longest idle connection is closed
/// first and the dial tries once more.
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
        if conn.is_null() {
            return Err(Error::invalid_argument("conn is NULL"));
        }
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *conn = std::ptr::null_mut() };
        // SAFETY: the program's promises.
        let asked = unsafe { Asked::new("dial", network, address) };
        // SAFETY: as above.
        let (owner, destination, mut borrow, name) = asked.name_in(|asked| unsafe {
            let owner = pool_of(pool)?;
            let raw = read_options(options)?;
            let key = key(pool, network, address, raw.reuse_tag);
            let (destination, borrow) = read_dial(&owner, asked, raw, &key)?;
            // Before a callback runs, which may change the texts.
            let name = key.as_ref().and_then(Named::new);
            Ok((owner, destination, borrow, name))
        })?;
        borrow.found_unfit = missed.unfit;
        let borrowed = owner.borrow(&destination, &borrow)?;
        let fd = borrowed.raw_fd();
        if let Some(name) = name {
            hints::note(name, &borrowed);
        }
        // SAFETY: as above.
        unsafe { *conn = borrowed.lend_out() as *mut vcp_conn };
        Ok(fd)
    })
}
