//! What a pool reports about itself: leaks, and `vcp_pool_describe`.
#![forbid(unsafe_code)]

pub(crate) mod describe;
pub(crate) mod leaks;
