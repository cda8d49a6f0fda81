//! Sockets that the program gives to a pool, and takes from it.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::address::Asked;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};

/// Gives the pool a connected socket that the program dialed or accepted, filed under the given
/// destination; any connected socket may be put under any network. reuse_tag may be NULL. The pool
/// takes the descriptor only on success, and sets it close-on-exec. Fails with VCP_ERR_NOT_REUSABLE
/// (dead, dirty, not connected, not a socket), VCP_ERR_IDLE_FULL, VCP_ERR_POOL_EXHAUSTED, or
/// VCP_ERR_INVALID_ARGUMENT for a number that a pool of this process has already. Go: Put.
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
        pool.put(fd, destination).map(|()| 0)
    })
}

/// As vcp_pool_put, filed under its peer's address ("tcp", "udp", "unix", ... without a tag). A
/// socket whose peer has no address is VCP_ERR_NOT_REUSABLE. Go: Add.
#[no_mangle]
pub extern "C" fn vcp_pool_add(pool: *mut vcp_pool, fd: c_int) -> c_int {
    guard(|| pool_of(pool)?.add(fd).map(|()| 0))
}

/// Gives an idle connection's descriptor away: the caller owns it, the pool no longer counts it,
/// and it comes back only by put or add. Never dials: VCP_ERR_NOT_AVAILABLE when nothing is idle. A
/// connection with user data is not given away; its data could not follow. Go: Get.
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
