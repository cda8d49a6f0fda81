//! The part of the library's pool that knows no descriptor.

#[path = "../../../src/pool/state/mod.rs"]
pub(crate) mod state;
