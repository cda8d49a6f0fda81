//! From a host name to addresses. Each module imports only what stands before it here.
#![forbid(unsafe_code)]

pub(crate) mod names;

pub(crate) mod lookup;

mod cache;

mod lookup_queue;

pub(crate) mod resolver;

pub(crate) mod name_service;

pub(crate) mod source;
