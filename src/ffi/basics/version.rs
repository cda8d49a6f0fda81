//! The version of the library that is loaded.

use std::ffi::{c_char, CStr};

const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("cargo gives numbers"),
    }
}

const NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
    | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
    | number(env!("CARGO_PKG_VERSION_PATCH"));

const TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("the version has no NUL inside"),
    };

/// ---- VERSION ----
///
/// The VCP_VERSION_* macros tell the version of this header. These two tell that of the library
/// which is loaded. Neither can fail.
///
/// ----
///
/// The version of the library that is loaded, as a number like VCP_VERSION_NUMBER: 0xMMmmpp.
#[no_mangle]
pub extern "C" fn vcp_version_number() -> u32 {
    NUMBER
}

/// The version of the library that is loaded, as a text like VCP_VERSION_STRING. The text is static
/// and never NULL.
#[no_mangle]
pub extern "C" fn vcp_version_string() -> *const c_char {
    TEXT.as_ptr()
}
