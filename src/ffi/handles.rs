//! The opaque types of the header, and how a C value becomes what it names. A handle is a number in
//! a pointer's clothes (`handle`): it is looked up, never dereferenced.

use crate::dial::callbacks::AddressSink;
use crate::handle::{HandleKind, Inherited, Kept, Pin, Stale, Table};
use crate::pool::background::queue::{Queue, QueueHandle};
use crate::pool::conn::Conn;
use crate::pool::entry::fork;
use crate::pool::{Pool, PoolHandle};
use crate::sync::Arc;
use crate::sys::wake::CancelToken;
use crate::values::error::{Error, Result, Status};

/// A pool. It ends with vcp_pool_close; one that is never closed lives as long as the process.
pub struct vcp_pool {
    _private: [u8; 0],
}

/// A borrowed connection. It ends with vcp_conn_close or vcp_conn_detach.
pub struct vcp_conn {
    _private: [u8; 0],
}

/// ---- HANDLES ----
///
/// Each is a number in a pointer's clothes: a slot and a generation. The library never dereferences
/// it, so that a wrong one is an error and nothing worse.
///
/// ----
///
/// A cancel token: when it fires, it ends every dial, read, write and wait that carries it. It ends
/// with vcp_cancel_free.
pub struct vcp_cancel {
    _private: [u8; 0],
}

/// Where the answers of asynchronous dials arrive. Many dials, of many pools, may answer to one
/// queue, and any thread may fetch from it. It ends with vcp_queue_free.
pub struct vcp_queue {
    _private: [u8; 0],
}

/// Where a resolve callback puts the addresses that it finds. It is valid until that callback
/// returns.
pub struct vcp_resolved {
    _private: [u8; 0],
}

pub(crate) fn pool_error(stale: Stale) -> Error {
    match stale {
        Stale::Never => Error::new(Status::InvalidHandle, "not a pool handle"),
        Stale::Closed => Error::new(Status::PoolClosed, "the pool is closed"),
    }
}

/// Turns a C value into the pool it names.
pub(crate) fn pool_of(pool: *mut vcp_pool) -> Result<Arc<Pool>> {
    let pin = PoolHandle::table().pin(pool as usize).map_err(pool_error)?;
    Ok(pin.pool().clone())
}

pub(crate) fn conn_error(stale: Stale) -> Error {
    match stale {
        Stale::Never => Error::new(Status::InvalidHandle, "not a connection handle"),
        Stale::Closed => Error::new(Status::ConnClosed, "the connection is closed"),
    }
}

/// Turns a C value into the connection it names.
pub(crate) fn conn_of(conn: *mut vcp_conn) -> Result<Pin<Conn>> {
    Conn::table().pin(conn as usize).map_err(conn_error)
}

/// A token in its slot of the handle table.
#[derive(Debug)]
pub(crate) struct CancelHandle(pub(crate) Arc<CancelToken>);

impl Kept for CancelHandle {
    fn table() -> &'static Table<Self> {
        static TOKENS: Table<CancelHandle> = Table::new(HandleKind::Cancel);
        &TOKENS
    }
}

pub(crate) fn no_such_token() -> Error {
    Error::new(Status::InvalidHandle, "not a cancel token")
}

/// Turns a C value into the token it names; NULL is none.
pub(crate) fn token_of(cancel: *mut vcp_cancel) -> Result<Option<Arc<CancelToken>>> {
    if cancel.is_null() {
        return Ok(None);
    }
    let pin = CancelHandle::table()
        .pin(cancel as usize)
        .map_err(|_| no_such_token())?;
    Ok(Some(pin.0.clone()))
}

pub(crate) fn no_such_queue() -> Error {
    Error::new(Status::InvalidHandle, "not a queue")
}

/// Turns a C value into the queue it names.
pub(crate) fn queue_of(queue: *mut vcp_queue) -> Result<Arc<Queue>> {
    let pin = QueueHandle::table()
        .pin(queue as usize)
        .map_err(|_| no_such_queue())?;
    Ok(pin.queue().clone())
}

/// A lookup that a resolve callback fills.
#[derive(Debug)]
pub(crate) struct ResolvedHandle(pub(crate) Arc<dyn AddressSink>);

impl Kept for ResolvedHandle {
    fn table() -> &'static Table<Self> {
        static RESOLVED: Table<ResolvedHandle> = Table::new(HandleKind::Resolved);
        &RESOLVED
    }
}

/// What a forked child does with the handles that it inherited: tokens and queues live on (queues
/// empty), the answers of resolve callbacks end, pools and connections are closed or emptied by
/// `pool`.
pub(crate) fn adopt(generation: u32) {
    CancelHandle::table().adopt(generation, Inherited::Lives);
    QueueHandle::table().adopt(generation, Inherited::Lives);
    ResolvedHandle::table().adopt(generation, Inherited::Ends);
    fork::adopt(generation);
}
