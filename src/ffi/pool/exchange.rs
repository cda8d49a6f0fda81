//! Sockets that the program gives to a pool, and takes from it.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::address::Asked;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::sys::foreign::ProgramFd;

/// ---- SOCKETS OF THE PROGRAM'S OWN ----
///
/// A program may give a pool a socket that it dialed or accepted, and take an idle one away.
///
/// ----
///
/// Gives the pool a connected socket, filed under that destination. NULL reuse_tag: "". Any
/// connected socket may be put under any network. A waiter gets it first. Go: Put.
///
/// On success the descriptor is the pool's, and close-on-exec. On failure it stays the program's.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED, VCP_ERR_UNKNOWN_NETWORK,
/// VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT if a text is NULL or too long, or a pool of
/// this process has that descriptor already; VCP_ERR_NOT_REUSABLE; VCP_ERR_POOL_EXHAUSTED at
/// max_conns or max_conns_per_address; VCP_ERR_IDLE_FULL; VCP_ERR_SYSTEM.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_put(
    pool: *mut vcp_pool,
    fd: c_int,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("put", network, address) };
        // SAFETY: as above.
        let (pool, destination) = asked
            .name_in(|asked| unsafe { Ok((pool_of(pool)?, asked.destination(reuse_tag)?)) })?;
        // SAFETY: the header: the program owns the descriptor that it passes, until this succeeds.
        let offered = unsafe { ProgramFd::new(fd) };
        pool.put(offered, destination).map(|()| 0)
    })
}

/// Gives the pool a connected socket, filed under the address of its peer: "tcp" and an ip:port,
/// "unix" and a path, without a tag. Go: Add.
///
/// On success the descriptor is the pool's, and close-on-exec. On failure it stays the program's.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED; VCP_ERR_INVALID_ARGUMENT if a pool of this
/// process has that descriptor already; VCP_ERR_NOT_REUSABLE, also if its peer has no address;
/// VCP_ERR_POOL_EXHAUSTED at max_conns or max_conns_per_address; VCP_ERR_IDLE_FULL; VCP_ERR_SYSTEM.
#[no_mangle]
pub extern "C" fn vcp_pool_add(pool: *mut vcp_pool, fd: c_int) -> c_int {
    guard(|| {
        // SAFETY: the header: the program owns the descriptor that it passes, until this succeeds.
        let offered = unsafe { ProgramFd::new(fd) };
        pool_of(pool)?.add(offered).map(|()| 0)
    })
}

/// Takes an idle connection out of the pool and returns its descriptor, which is the program's to
/// close. The pool counts it no more. It never dials. NULL reuse_tag: "". A connection that has
/// user data is not given away, because its data could not follow. Go: Get.
///
/// Errors: VCP_ERR_NOT_AVAILABLE if none without user data is idle; VCP_ERR_INVALID_HANDLE,
/// VCP_ERR_POOL_CLOSED, VCP_ERR_UNKNOWN_NETWORK, VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT
/// if network or address is NULL.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_get(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("get", network, address) };
        // SAFETY: as above.
        let (pool, destination) = asked
            .name_in(|asked| unsafe { Ok((pool_of(pool)?, asked.destination(reuse_tag)?)) })?;
        pool.get(&destination)
    })
}
