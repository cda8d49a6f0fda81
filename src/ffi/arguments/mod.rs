//! What C functions are passed, as Rust values.

pub(crate) mod address;
pub(crate) mod sized_struct;
pub(crate) mod text;
pub(crate) mod time;
