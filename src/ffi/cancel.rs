//! `vcp_cancel_*`.

use std::ffi::c_int;

use super::fork;
use super::guard::{guard, guard_with_memory};
use super::handles::{no_such_token, vcp_cancel, CancelHandle};
use crate::handle::Kept;
use crate::sync::Arc;
use crate::sys::keep_errno;
use crate::values::error::{Error, Status};

/// ---- CANCELING ----
///
/// A token ends what carries it: dials (vcp_dial_options.cancel), and the reads, writes and waits
/// of a borrow (vcp_conn_set_cancel). One token may serve any number of them.
///
/// ----
///
/// Makes a token and writes its handle to *cancel.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if cancel is NULL; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_cancel_new(cancel: *mut *mut vcp_cancel) -> c_int {
    guard_with_memory(|| {
        if cancel.is_null() {
            return Err(Error::invalid_argument("cancel is NULL"));
        }
        let owned = CancelHandle::table()
            .insert(CancelHandle(Arc::default()))
            .map_err(|_| Error::no_memory())?;
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *cancel = owned.lend() as *mut vcp_cancel };
        Ok(0)
    })
}

/// Fires the token, for ever: all that carry it end with VCP_ERR_CANCELED, now and later. It takes
/// no lock and no memory, and keeps errno.
///
/// Threads: any, and a signal handler.
///
/// Errors: VCP_ERR_INVALID_HANDLE, for NULL too. It does not become this thread's last error.
#[no_mangle]
pub extern "C" fn vcp_cancel_fire(cancel: *mut vcp_cancel) -> c_int {
    keep_errno(|| {
        fork::enter_from_handler();
        match CancelHandle::table().pin(cancel as usize) {
            Ok(token) => {
                token.0.fire();
                0
            }
            Err(_) => Status::InvalidHandle as c_int,
        }
    })
}

/// Frees a token, without firing it. NULL is VCP_OK. It may follow right after vcp_cancel_fire:
/// what carries the token keeps what it needs.
///
/// Errors: VCP_ERR_INVALID_HANDLE.
#[no_mangle]
pub extern "C" fn vcp_cancel_free(cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            return Ok(0);
        }
        let owned = CancelHandle::table()
            .take_back(cancel as usize, |_| {})
            .map_err(|_| no_such_token())?;
        drop(owned);
        Ok(0)
    })
}
