//! One dial, from its address to its end. Each module imports only what stands before it here.
#![forbid(unsafe_code)]

pub(crate) mod open_session;

pub(crate) mod connected;

mod callback_dial;

pub(crate) mod dial;

mod addresses;

pub(crate) mod run;
