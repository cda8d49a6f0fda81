//! Networks, addresses and destinations, and how a failure names them.

use std::ffi::c_char;

use super::text;
use crate::pool::runtime::runtime;
use crate::values::address::{Address, LONGEST_TEXT};
use crate::values::destination::Destination;
use crate::values::error::{Result, Status};

/// What a call was asked for. The message of its failure begins with that, also when it is what was
/// wrong: `put tcp5 a:1: unknown network`.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    verb: &'static str,
    network: *const c_char,
    address: *const c_char,
}

impl Asked {
    /// # Safety
    /// Each text is NULL or NUL-terminated, and lives as long as this.
    pub(crate) unsafe fn new(
        verb: &'static str,
        network: *const c_char,
        address: *const c_char,
    ) -> Self {
        Self {
            verb,
            network,
            address,
        }
    }

    /// Runs `read`, and names what was asked for in its failure.
    pub(crate) fn name_in<T>(self, read: impl FnOnce(Self) -> Result<T>) -> Result<T> {
        read(self).map_err(|error| error.of(self.describe()))
    }

    /// `dial tcp a:1`.
    pub(crate) fn describe(self) -> String {
        let mut words = self.verb.to_owned();
        for text in [self.network, self.address] {
            if !text.is_null() {
                words.push(' ');
                // SAFETY: NUL-terminated by the promise of `new`.
                words.push_str(&unsafe { shown(text) });
            }
        }
        words
    }

    pub(crate) fn address(self) -> Result<Address> {
        let (network, address) = self.texts()?;
        runtime().names.parse(network, address)
    }

    /// `None`, where NULL, NULL means every address.
    pub(crate) fn address_or_all(self) -> Result<Option<Address>> {
        if self.network.is_null() && self.address.is_null() {
            return Ok(None);
        }
        self.address().map(Some)
    }

    /// A NULL tag is the empty one.
    ///
    /// # Safety
    /// The tag is NULL or NUL-terminated.
    pub(crate) unsafe fn destination(self, reuse_tag: *const c_char) -> Result<Destination> {
        let address = self.address()?;
        // SAFETY: the caller's promise.
        let tag = unsafe { text::optional(reuse_tag, "reuse_tag", Status::InvalidArgument) }?;
        Ok(Destination::new(address, tag.unwrap_or_default()))
    }

    /// Network and address, not parsed yet.
    pub(crate) fn texts<'a>(self) -> Result<(&'a str, &'a str)> {
        // SAFETY: NUL-terminated by the promise of `new`.
        unsafe {
            Ok((
                text::required(self.network, "network", Status::UnknownNetwork)?,
                text::required(self.address, "address", Status::InvalidAddress)?,
            ))
        }
    }
}

/// A text as a message shows it: what is no UTF-8 escaped, what is too long cut off.
///
/// # Safety
/// NUL-terminated.
unsafe fn shown(text: *const c_char) -> String {
    // SAFETY: the caller's promise; no byte behind the limit is read.
    let bytes = unsafe {
        let length = libc::strnlen(text, LONGEST_TEXT + 1);
        std::slice::from_raw_parts(text.cast::<u8>(), length)
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= LONGEST_TEXT => text.to_owned(),
        _ => shortened(bytes),
    }
}

fn shortened(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    let dots = if bytes.len() > SHOWN { "..." } else { "" };
    let begin = &bytes[..bytes.len().min(SHOWN)];
    format!("{}{dots}", begin.escape_ascii())
}
