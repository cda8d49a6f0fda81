//! `vcp_pool_*`.

use std::ffi::{c_char, c_int};

use crate::ffi::arguments::text;
use crate::ffi::dial::blocking::{read_dial, read_options, vcp_dial_options};
use crate::ffi::guard::guard;
use crate::ffi::pool::options;
use crate::ffi::pool::options::vcp_pool_options;
use crate::handle::{Kept, Stale};
use crate::pool::errors::system_error;
use crate::pool::runtime::runtime;
use crate::pool::state::answer::Reuse;
use crate::pool::{hints, Listed, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::address::Address;
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
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
    Ok(pin.pool().clone())
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
    Address::parse(network, address, &runtime().names)
}

/// The same; `None` is all of them (NULL, NULL).
///
/// # Safety
/// Each is NULL or NUL-terminated.
unsafe fn address_or_all(
    network: *const c_char,
    address: *const c_char,
) -> Result<Option<Address>> {
    if network.is_null() && address.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { address_of(network, address) }.map(Some)
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
    Ok(Destination::new(address, tag.unwrap_or_default()))
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
        let (options, callbacks, keeper) = unsafe { options::read(options) }?;
        let listed = Listed::new(Pool::new(options, callbacks));
        let owned = Listed::table()
            .insert(listed)
            .map_err(|(unlisted, error)| {
                unlisted.pool().close();
                system_error("a new pool", &error)
            })?;
        keeper.keep();
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *pool = owned.lend() as *mut vcp_pool };
        Ok(0)
    })
}

/// Ends a pool. The handle is dead at once: idle connections are closed, dials in flight end with
/// VCP_ERR_POOL_CLOSED; borrowed connections stay usable by their borrowers and are really closed when given back. When
/// the last one is back, all memory is free except handle slots, which later handles reuse. When it returns, no thread of the
/// library runs the pool's on_event, or any callback of a dial in the background, and none will (it waits for those that do, unless it is
/// called from one). NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_pool_close(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        if pool.is_null() {
            return Ok(0);
        }
        let owned = Listed::table()
            .redeem(pool as usize, |_| {})
            .map_err(stale)?;
        owned.into_inner().pool().close();
        hints::pool_ended();
        Ok(0)
    })
}

/// From now on new dials, waiting ones and those in flight end with VCP_ERR_POOL_CLOSED, and what is idle is closed. Waits
/// until every borrowed connection is back (timeout_ms < 0: for ever, 0: not at all) and returns how many are still out (0: all
/// home). The handle is still to be closed. Not to be called from a callback of the same pool.
#[no_mangle]
pub extern "C" fn vcp_pool_drain(pool: *mut vcp_pool, timeout_ms: i64) -> i64 {
    guard(|| {
        let pool = pool_of(pool)?;
        let until = Deadline::from_timeout(clock::now(), timeout_ms);
        Ok(pool.drain(until).into())
    })
}

/// Cuts every connection that is borrowed now: shutdown(2), so that its borrower's I/O ends, and it is closed when given back.
/// From now on vcp_conn_read, write, try_read, try_write and wait answer VCP_ERR_POOL_CLOSED on it, never 0: a truncated
/// answer must not look like a whole one. Who reads the descriptor itself sees end of stream. The handle is still to be closed.
#[no_mangle]
pub extern "C" fn vcp_pool_abort(pool: *mut vcp_pool) -> c_int {
    guard(|| {
        pool_of(pool)?.abort();
        Ok(0)
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

/// Closes what is idle at one address (all its tags), and what is borrowed from there now when it is given back; NULL, NULL:
/// everywhere ("the network changed").
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_evict(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promise.
        let address = unsafe { address_or_all(network, address) }?;
        pool.evict(address.as_ref());
        Ok(0)
    })
}

/// Dials until count connections to the destination are idle, one after another in this thread; never above a limit, and
/// nothing is closed for them. Returns how many are idle; an error only if none is. options may be NULL; their
/// timeout_ms bounds the whole call, reuse_tag belongs to the destination, flags must not hold VCP_DIAL_REUSE_ONLY. A
/// connection dialed so is "reused" for its first borrower.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_warm(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    count: u32,
) -> c_int {
    guard(|| {
        let pool = pool_of(pool)?;
        // SAFETY: the program's promises are those of vcp_dial_with.
        let (destination, borrow) = unsafe {
            let raw = read_options(options)?;
            read_dial(&pool, network, address, raw, &None)
        }?;
        if borrow.reuse == Reuse::Only {
            return Err(Error::invalid_argument(
                "flags: VCP_DIAL_REUSE_ONLY is not for vcp_pool_warm",
            ));
        }
        let idle = pool.warm(&destination, count, &borrow)?;
        Ok(c_int::try_from(idle).unwrap_or(c_int::MAX))
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
        // SAFETY: the program's promise.
        let address = unsafe { address_or_all(network, address) }?;
        Ok(pool.idle_count(address.as_ref()).into())
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
