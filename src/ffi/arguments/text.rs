//! Text in and out.

use std::ffi::{c_char, CString};

use crate::values::address::LONGEST_TEXT;
use crate::values::error::{Error, Result, Status};

/// Reads a parameter that must be there. What is too long or no UTF-8 fails with `otherwise`.
///
/// # Safety
/// NULL, or NUL-terminated.
pub(crate) unsafe fn required<'a>(
    text: *const c_char,
    what: &str,
    otherwise: Status,
) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    match unsafe { optional(text, what, otherwise) }? {
        Some(text) => Ok(text),
        None => Err(Error::invalid_argument(format!("{what} is NULL"))),
    }
}

/// Reads a parameter that may be NULL. What is too long or no UTF-8 fails with `otherwise`.
///
/// # Safety
/// NULL, or NUL-terminated.
pub(crate) unsafe fn optional<'a>(
    text: *const c_char,
    what: &str,
    otherwise: Status,
) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: NUL-terminated by the caller's promise; no byte behind the first NUL or the limit is
    // read.
    let bytes = unsafe {
        let length = libc::strnlen(text, LONGEST_TEXT + 1);
        std::slice::from_raw_parts(text.cast::<u8>(), length)
    };
    if bytes.len() > LONGEST_TEXT {
        return Err(Error::new(
            otherwise,
            format!("{what} is longer than {LONGEST_TEXT} bytes"),
        ));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::new(
            otherwise,
            format!("{what} is not UTF-8: \"{}\"", bytes.escape_ascii()),
        )),
    }
}

/// As snprintf(3): returns the length that `text` needs, and writes what fits, terminated.
///
/// # Safety
/// `buffer` has `size` writable bytes, or is NULL.
pub(crate) unsafe fn write_out(text: &str, buffer: *mut c_char, size: usize) -> Result<i64> {
    if buffer.is_null() && size > 0 {
        return Err(Error::invalid_argument("buffer is NULL and size is not 0"));
    }
    if size > 0 {
        let fits = text.len().min(size - 1);
        // SAFETY: `fits + 1 <= size` bytes are writable; a str does not overlap the caller's
        // buffer.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, fits);
            *buffer.add(fits) = 0;
        }
    }
    Ok(text.len() as i64)
}

/// A text for a callback of the program. What comes from an address or a network has no NUL inside.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
