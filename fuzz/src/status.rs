//! What a call of the library may return.

use std::ffi::CStr;

use vconnpool::ffi::basics::error::vcp_last_error;
use vconnpool::ffi::basics::status::{VCP_ERR_INTERNAL, VCP_ERR_INVALID_ARGUMENT};

/// The lowest status but INTERNAL; each number between is one.
const LOWEST: i64 = -20;

fn last_error() -> String {
    // SAFETY: never NULL, and valid until this thread's next failing call.
    let text = unsafe { CStr::from_ptr(vcp_last_error()) };
    text.to_string_lossy().into_owned()
}

/// A count, a descriptor, or a status that the header knows. A panic that was caught at the
/// boundary is a finding as any other.
pub(crate) fn checked<T: Into<i64>>(result: T) -> i64 {
    let result = result.into();
    assert_ne!(result, i64::from(VCP_ERR_INTERNAL), "{}", last_error());
    assert!(result >= LOWEST, "{result} is no status");
    result
}

/// It must be refused, as an argument that is bad.
pub(crate) fn refused<T: Into<i64>>(result: T) {
    assert_eq!(checked(result), i64::from(VCP_ERR_INVALID_ARGUMENT));
}
