//! Plain values: errors, times, addresses, options. No locks and no I/O; every layer uses them.
#![forbid(unsafe_code)]

pub(crate) mod address;
pub(crate) mod address_list;
pub(crate) mod clock;
pub(crate) mod destination;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod host_port;
pub(crate) mod network;
pub(crate) mod options;
