//! `vcp_pool_*`.

use std::ffi::{c_char, c_int};

use super::dial::vcp_dial_options;
use super::guard::guard;
use super::options::{self, vcp_pool_options};
use super::text;
use crate::handle::{Kept, Stale};
use crate::pool::process::process;
use crate::pool::{system_error, Listed, Pool};
use crate::sync::Arc;
use crate::values::address::{Address, Destination};
use crate::values::error::{Error, Result, Status};

/// A pool. Closed with vcp_pool_close; a pool that is never closed lives as long as the process.
pub struct vcp_pool {
    _private: [u8; 0],
}

fn stale(stale: Stale) -> Error {
    match stale {
        Stale::Never => Error::new(Status::InvalidHandle, "not a pool handle"),
        Stale::Closed => Error::new(Status::PoolClosed, "the pool is closed"),
    }
}

/// Turns a C value into the pool it names.
pub(crate) fn pool_of(pool: *mut vcp_pool) -> Result<Arc<Pool>> {
    let pin = Listed::table().pin(pool as usize).map_err(stale)?;
    Ok(pin.0.clone())
}

/// Reads network and address.
///
/// # Safety
/// Each is NULL or NUL-terminated.
pub(crate) unsafe fn address_of(network: *const c_char, address: *const c_char) -> Result<Address> {
    // SAFETY: the caller's promise.
    let (network, address) = unsafe {
        (
            text::required(network, "network", Status::UnknownNetwork)?,
            text::required(address, "address", Status::InvalidAddress)?,
        )
    };
    Address::parse(network, address, &process().names)
}

/// Reads a whole destination; NULL is the empty tag.
///
/// # Safety
/// Each is NULL or NUL-terminated.
pub(crate) unsafe fn destination_of(
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> Result<Destination> {
    // SAFETY: the caller's promise.
    let (address, tag) = unsafe {
        (
            address_of(network, address)?,
            text::optional(reuse_tag, "reuse_tag", Status::InvalidArgument)?,
        )
    };
    Ok(Destination {
        address,
        tag: tag.unwrap_or_default().into(),
    })
}

pub(crate) fn not_supported_yet<T>(what: &str) -> Result<T> {
    Err(Error::invalid_argument(format!(
        "{what}: not supported yet"
    )))
}

/// Makes a pool. options may be NULL: all defaults. Nothing is dialed and no thread is started yet.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_new(
    options: *const vcp_pool_options,
    pool: *mut *mut vcp_pool,
) -> c_int {
    guard(|| {
        if pool.is_null() {
            return Err(Error::invalid_argument("pool is NULL"));
        }
        // SAFETY: the program promises a struct as big as its size field says.
        let (options, program) = unsafe { options::read(options) }?;
        let listed = Listed(Pool::new(options, program));
        let owned = Listed::table()
            .insert(listed)
            .map_err(|(unlisted, error)| {
                unlisted.0.close();
                system_error("a new pool", &error)
            })?;
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *pool = owned.lend() as *mut vcp_pool };
        Ok(0)
    })
}

/// Ends a pool. The handle is dead at once: idle connections are closed, dials in flight end with
/// VCP_ERR_POOL_CLOSED; borrowed connections stay usable by their borrowers and are really closed when given back. When
/// the last one is back, all memory is free except handle slots, which later handles reuse. NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_pool_close(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        if pool.is_null() {
            return Ok(0);
        }
        let owned = Listed::table()
            .redeem(pool as usize, |_| {})
            .map_err(stale)?;
        owned.into_inner().0.close();
        Ok(0)
    })
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT. Will end new dials and wait for the borrowed connections.
#[no_mangle]
pub extern "C" fn vcp_pool_drain(pool: *mut vcp_pool, timeout_ms: i64) -> i64 {
    guard(|| {
        let _ = (pool_of(pool)?, timeout_ms);
        not_supported_yet("vcp_pool_drain")
    })
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT. Will shut down every borrowed socket.
#[no_mangle]
pub extern "C" fn vcp_pool_abort(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        let _ = pool_of(pool)?;
        not_supported_yet("vcp_pool_abort")
    })
}

/// Closes every idle connection. What is borrowed now is kept as before when it is given back.
#[no_mangle]
pub extern "C" fn vcp_pool_close_idle(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        pool_of(pool)?.close_idle();
        Ok(0)
    })
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT. Will close what is idle at one address, and what is borrowed when given back.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_evict(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> c_int {
    guard(|| {
        let _ = (pool_of(pool)?, network, address);
        not_supported_yet("vcp_pool_evict")
    })
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT. Will dial until count connections are idle.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_warm(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    count: u32,
) -> c_int {
    guard(|| {
        let _ = (pool_of(pool)?, network, address, options, count);
        not_supported_yet("vcp_pool_warm")
    })
}

/// How many connections there are: idle + borrowed. Go: ConnNum.
#[no_mangle]
pub extern "C" fn vcp_pool_conn_count(pool: *mut vcp_pool) -> i64 {
    guard(|| Ok(pool_of(pool)?.conn_count().into()))
}

/// How many connections are idle at one address, whatever their tag; NULL, NULL: at all. Never resolves a name. Go:
/// ConnNumIde.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_idle_count(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> i64 {
    guard(|| {
        let pool = pool_of(pool)?;
        if network.is_null() && address.is_null() {
            return Ok(pool.idle_count(None).into());
        }
        // SAFETY: the program's promise.
        let address = unsafe { address_of(network, address) }?;
        Ok(pool.idle_count(Some(&address)).into())
    })
}

/// Gives the pool a connected socket that the program dialed or accepted, filed under the given destination; any
/// connected socket may be put under any network. reuse_tag may be NULL. The pool takes the descriptor only on success, and
/// sets it close-on-exec. Fails with VCP_ERR_NOT_REUSABLE (dead, dirty, not connected, not a socket), VCP_ERR_IDLE_FULL,
/// VCP_ERR_POOL_EXHAUSTED, or VCP_ERR_INVALID_ARGUMENT for a number that a pool of this process has already. Go: Put.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_put(
    pool: *mut vcp_pool,
    fd: c_int,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promise.
        let destination = unsafe { destination_of(network, address, reuse_tag) }?;
        pool.put(fd, destination).map(|()| 0)
    })
}

/// As vcp_pool_put, filed under its peer's address ("tcp", "udp", "unix", ... without a tag). A socket whose peer has no
/// address is VCP_ERR_NOT_REUSABLE. Go: Add.
#[no_mangle]
pub extern "C" fn vcp_pool_add(pool: *mut vcp_pool, fd: c_int) -> c_int {
    guard(|| pool_of(pool)?.add(fd).map(|()| 0))
}

/// Gives an idle connection's descriptor away: the caller owns it, the pool no longer counts it, and it comes back only by
/// put or add. Never dials: VCP_ERR_NOT_AVAILABLE when nothing is idle. A connection with user data is not given away; its
/// data could not follow. Go: Get.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_get(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promise.
        let destination = unsafe { destination_of(network, address, reuse_tag) }?;
        pool.get(&destination)
    })
}
