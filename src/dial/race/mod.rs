//! From addresses to one connected socket. Each module imports only what stands before it here.
#![forbid(unsafe_code)]

pub(crate) mod order;

pub(crate) mod failed_addresses;

pub(crate) mod happy_eyeballs;

pub(crate) mod connecting_socket;

pub(crate) mod connect;
