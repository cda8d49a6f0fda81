//! The part of the library's pool that knows no descriptor.

pub(crate) mod state;
