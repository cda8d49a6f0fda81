//! From a host name to addresses. Each module imports only what stands before it here.
#![forbid(unsafe_code)]

pub(crate) mod names;

pub(crate) mod lookup;

pub(crate) mod cache;

pub(crate) mod resolver;

pub(crate) mod source;
