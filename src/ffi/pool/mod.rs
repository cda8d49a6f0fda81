//! `vcp_pool_*`, in the order of the header; blank lines keep rustfmt from sorting it.

pub mod options;

pub mod lifecycle;

pub mod stats;

pub mod describe;
