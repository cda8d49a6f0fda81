//! Networks, addresses and destinations.

use std::ffi::c_char;

use super::text;
use crate::pool::runtime::runtime;
use crate::values::address::Address;
use crate::values::destination::Destination;
use crate::values::error::{Result, Status};

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

/// Reads network and address where NULL, NULL means every address: `None`.
///
/// # Safety
/// Each is NULL or NUL-terminated.
pub(crate) unsafe fn address_or_all(
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
