//! `vcp_pool_*`, in the order of the header; blank lines keep rustfmt from sorting it.

pub mod options;

mod validate;

pub mod lifecycle;

pub mod set_limits;

pub mod contents;

pub mod exchange;

pub mod stats;

pub mod describe;
