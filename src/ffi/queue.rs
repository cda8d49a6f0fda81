//! `vcp_dial_async` and `vcp_queue_*`.

use std::ffi::{c_char, c_int, c_void};

use super::conn::vcp_conn;
use super::dial::vcp_dial_options;
use super::guard::guard;
use super::pool::{not_supported_yet, pool_of, vcp_pool};
use crate::values::error::{Error, Status};

/// Where the answers of asynchronous dials arrive.
pub struct vcp_queue {
    _private: [u8; 0],
}

/// One answer of an asynchronous dial.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_completion {
    /// The size that the caller gave.
    pub size: usize,
    /// What was passed to vcp_dial_async.
    pub token: *mut c_void,
    /// The descriptor, or a vcp_status.
    pub status: c_int,
    /// The connection, or NULL.
    pub conn: *mut vcp_conn,
}

fn no_such_queue() -> Error {
    Error::new(Status::InvalidHandle, "not a queue")
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial_async(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    queue: *mut vcp_queue,
    token: *mut c_void,
    conn: *mut *mut vcp_conn,
) -> c_int {
    guard(|| {
        if conn.is_null() {
            return Err(Error::invalid_argument("conn is NULL"));
        }
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *conn = std::ptr::null_mut() };
        let _ = (pool_of(pool)?, network, address, options, queue, token);
        not_supported_yet("vcp_dial_async")
    })
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn vcp_queue_new(queue: *mut *mut vcp_queue) -> c_int {
    guard(|| {
        if queue.is_null() {
            return Err(Error::invalid_argument("queue is NULL"));
        }
        not_supported_yet("vcp_queue_new")
    })
}

/// There are no queues yet: VCP_ERR_INVALID_HANDLE.
#[no_mangle]
pub extern "C" fn vcp_queue_fd(queue: *mut vcp_queue) -> c_int {
    let _ = queue;
    guard(|| Err(no_such_queue()))
}

/// There are no queues yet: VCP_ERR_INVALID_HANDLE.
#[no_mangle]
pub unsafe extern "C" fn vcp_queue_next(
    queue: *mut vcp_queue,
    completion: *mut vcp_completion,
    size: usize,
) -> c_int {
    guard(|| {
        let _ = (queue, completion, size);
        Err(no_such_queue())
    })
}

/// There are no queues yet: VCP_ERR_INVALID_HANDLE, but NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_queue_free(queue: *mut vcp_queue) -> c_int {
    guard(|| {
        if queue.is_null() {
            Ok(0)
        } else {
            Err(no_such_queue())
        }
    })
}
