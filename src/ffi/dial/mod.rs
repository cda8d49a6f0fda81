//! `vcp_dial*`, in the order of the header; blank lines keep rustfmt from sorting it.

pub mod options;

mod fast_path;
pub(crate) mod request;

pub mod blocking;

pub mod asynchronous;
