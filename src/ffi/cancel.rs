//! `vcp_cancel_*`.

use std::ffi::c_int;

use super::guard::guard;
use super::pool::not_supported_yet;
use crate::values::error::{Error, Status};

/// A cancel token.
pub struct vcp_cancel {
    _private: [u8; 0],
}

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn vcp_cancel_new(cancel: *mut *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            return Err(Error::invalid_argument("cancel is NULL"));
        }
        not_supported_yet("vcp_cancel_new")
    })
}

fn no_such_token() -> Error {
    Error::new(Status::InvalidHandle, "not a cancel token")
}

/// There are no tokens yet: VCP_ERR_INVALID_HANDLE.
#[no_mangle]
pub extern "C" fn vcp_cancel_fire(cancel: *mut vcp_cancel) -> c_int {
    let _ = cancel;
    guard(|| Err(no_such_token()))
}

/// There are no tokens yet: VCP_ERR_INVALID_HANDLE, but NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_cancel_free(cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            Ok(0)
        } else {
            Err(no_such_token())
        }
    })
}
