//! Errors that several rooms of a pool tell alike.
#![forbid(unsafe_code)]

use crate::sys;
use crate::values::error::{Error, Status};

pub(crate) fn system_error(what: &str, error: &std::io::Error) -> Error {
    let errno = sys::errno(error);
    Error::new(
        Status::System,
        format!("{what}: {}", sys::errno_text(errno)),
    )
    .numbered(errno)
}

pub(crate) fn canceled() -> Error {
    Error::new(Status::Canceled, "canceled")
}

pub(crate) fn no_engine() -> Error {
    let message = "the library's background thread cannot run";
    Error::new(Status::System, message).numbered(libc::EAGAIN)
}

/// A callback has forked, and this is the child: its parent's call cannot go on here.
pub(crate) fn forked_inside_callback() -> Error {
    Error::new(Status::Callback, "the process was forked inside a callback")
}

/// A session that tells no descriptor.
pub(crate) fn no_descriptor() -> Error {
    let message = "the session has no descriptor";
    Error::new(Status::NotAvailable, message)
}
