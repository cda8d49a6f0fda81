//! `vcp_cancel_*`.

use std::ffi::c_int;

use crate::ffi::fork;
use crate::ffi::guard::guard;
use crate::handle::{Inherited, Kept, Kind, Table};
use crate::sync::Arc;
use crate::sys::keep_errno;
use crate::sys::wake::CancelToken;
use crate::values::error::{Error, Result, Status};

/// A cancel token: ends every dial, read, write and wait that carries it.
pub struct vcp_cancel {
    _private: [u8; 0],
}

/// A token in its slot of the handle table.
#[derive(Debug)]
struct Listed(Arc<CancelToken>);

impl Kept for Listed {
    fn table() -> &'static Table<Self> {
        static TOKENS: Table<Listed> = Table::new(Kind::Cancel);
        &TOKENS
    }
}

/// A forked child keeps its tokens.
pub(crate) fn adopt(generation: u32) {
    Listed::table().adopt(generation, Inherited::Lives);
}

fn no_such_token() -> Error {
    Error::new(Status::InvalidHandle, "not a cancel token")
}

/// Turns a C value into the token it names; NULL is none.
pub(crate) fn token_of(cancel: *mut vcp_cancel) -> Result<Option<Arc<CancelToken>>> {
    if cancel.is_null() {
        return Ok(None);
    }
    let pin = Listed::table()
        .pin(cancel as usize)
        .map_err(|_| no_such_token())?;
    Ok(Some(pin.0.clone()))
}

/// Makes a token. It may serve any number of dials and connections at once.
#[no_mangle]
pub unsafe extern "C" fn vcp_cancel_new(cancel: *mut *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            return Err(Error::invalid_argument("cancel is NULL"));
        }
        let owned = Listed::table()
            .insert(Listed(Arc::default()))
            .map_err(|(_, error)| Error::new(Status::System, format!("a new token: {error}")))?;
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *cancel = owned.lend() as *mut vcp_cancel };
        Ok(0)
    })
}

/// Fires the token, for ever: all that carry it end with VCP_ERR_CANCELED, now and later. From any thread and, as the only
/// function of this library, from a signal handler: it takes no lock and no memory, keeps errno, and a failure
/// (VCP_ERR_INVALID_HANDLE) does not become this thread's last error.
#[no_mangle]
pub extern "C" fn vcp_cancel_fire(cancel: *mut vcp_cancel) -> c_int {
    keep_errno(|| {
        fork::enter_from_handler();
        match Listed::table().pin(cancel as usize) {
            Ok(token) => {
                token.0.fire();
                0
            }
            Err(_) => Status::InvalidHandle as c_int,
        }
    })
}

/// Frees a token, without firing it; safe right after firing it. What carries it keeps what it needs. NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_cancel_free(cancel: *mut vcp_cancel) -> c_int {
    guard(|| {
        if cancel.is_null() {
            return Ok(0);
        }
        let owned = Listed::table()
            .redeem(cancel as usize, |_| {})
            .map_err(|_| no_such_token())?;
        drop(owned);
        Ok(0)
    })
}
