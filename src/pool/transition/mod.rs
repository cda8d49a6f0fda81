//! One transition of a pool: a change under its lock, whose effects are applied after unlock.
#![forbid(unsafe_code)]

pub(crate) mod close_conn;
