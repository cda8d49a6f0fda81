//! `vcp_cancel_*`.

use std::ffi::c_int;

use super::fork;
use super::guard::guard;
use super::handles::{no_such_token, vcp_cancel, CancelHandle};
use crate::handle::Kept;
use crate::sync::Arc;
use crate::sys::keep_errno;
use crate::values::error::{Error, Status};

/// Makes a token. It may serve any number of dials and connections at once.
#[no_mangle]
pub unsafe extern "C" fn vcp_cancel_new(cancel: *mut *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            return Err(Error::invalid_argument("cancel is NULL"));
        }
        let owned = CancelHandle::table()
            .insert(CancelHandle(Arc::default()))
            .map_err(|(_, error)| Error::new(Status::System, format!("a new token: {error}")))?;
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *cancel = owned.lend() as *mut vcp_cancel };
        Ok(0)
    })
}

/// Fires the token, for ever: all that carry it end with VCP_ERR_CANCELED, now and later. From any
/// thread and, as the only function of this library, from a signal handler: it takes no lock and no
/// memory, keeps errno, and a failure (VCP_ERR_INVALID_HANDLE) does not become this thread's last
/// error.
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

/// Frees a token, without firing it; safe right after firing it. What carries it keeps what it
/// needs. NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_cancel_free(cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            return Ok(0);
        }
        let owned = CancelHandle::table()
            .redeem(cancel as usize, |_| {})
            .map_err(|_| no_such_token())?;
        drop(owned);
        Ok(0)
    })
}
