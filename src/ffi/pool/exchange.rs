//! Sockets that the program gives to a pool, and takes from it.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::address::Asked;
use crate::ffi::callback_types::vcp_session;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::ffi::session;
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
/// VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT if network or address is NULL, reuse_tag is
/// too long or no UTF-8, or a pool of this process has that descriptor already;
/// VCP_ERR_NOT_REUSABLE; VCP_ERR_POOL_EXHAUSTED at max_conns or max_conns_per_address;
/// VCP_ERR_IDLE_FULL; VCP_ERR_SYSTEM if fcntl(2) or fstat(2) fails; VCP_ERR_NO_MEMORY.
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
        asked.name_in(|_| refuse_if_short())?;
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
/// VCP_ERR_POOL_EXHAUSTED at max_conns or max_conns_per_address; VCP_ERR_IDLE_FULL; VCP_ERR_SYSTEM
/// if fcntl(2) or fstat(2) fails; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub extern "C" fn vcp_pool_add(pool: *mut vcp_pool, fd: c_int) -> c_int {
    guard(|| {
        // SAFETY: the header: the program owns the descriptor that it passes, until this succeeds.
        let offered = unsafe { ProgramFd::new(fd) };
        let pool = pool_of(pool)?;
        refuse_if_short()?;
        pool.add(offered).map(|()| 0)
    })
}

/// Gives the pool a session that the program has opened, filed under that destination. NULL
/// reuse_tag: "". Any pool takes sessions, one that dials sockets too; the modes of its descriptors
/// do not apply. A waiter gets it first. Fill *session by vcp_session_init first.
///
/// On success the session is the pool's, which ends it by its free_data. On failure it stays the
/// program's, and free_data does not run.
///
/// Threads: any. The session's fd runs on it.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED, VCP_ERR_UNKNOWN_NETWORK,
/// VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT if session, its data, network or address is
/// NULL, reuse_tag is too long or no UTF-8, size or liveness of the session is wrong, or a pool of
/// this process has its descriptor already; VCP_ERR_NOT_REUSABLE if its descriptor is dead, dirty
/// or no connected socket; VCP_ERR_POOL_EXHAUSTED at max_conns or max_conns_per_address;
/// VCP_ERR_IDLE_FULL; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_put_session(
    pool: *mut vcp_pool,
    session: *const vcp_session,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the program's promise.
        let asked = unsafe { Asked::new("put_session", network, address) };
        // SAFETY: as above.
        let (pool, session, destination) = asked.name_in(|asked| unsafe {
            Ok((
                pool_of(pool)?,
                session::read(session)?,
                asked.destination(reuse_tag)?,
            ))
        })?;
        asked.name_in(|_| refuse_if_short())?;
        pool.put_session(session, destination).map(|()| 0)
    })
}

/// Takes an idle connection out of the pool. Returns its descriptor, which is the program's to
/// close. The pool counts it no more. It never dials. NULL reuse_tag: "". A connection that has
/// user data is not given away, because its data could not follow; nor is a session. Go: Get.
///
/// Errors: VCP_ERR_NOT_AVAILABLE if none without user data is idle; VCP_ERR_INVALID_HANDLE,
/// VCP_ERR_POOL_CLOSED, VCP_ERR_UNKNOWN_NETWORK, VCP_ERR_INVALID_ADDRESS; VCP_ERR_INVALID_ARGUMENT
/// if network or address is NULL, or reuse_tag is too long or no UTF-8; VCP_ERR_NO_MEMORY.
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
        asked.name_in(|_| refuse_if_short())?;
        pool.get(&destination)
    })
}
