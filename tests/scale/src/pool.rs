//! The parts of the library's pool that know no descriptor.

#[path = "../../../src/pool/shelf.rs"]
pub(crate) mod shelf;
#[path = "../../../src/pool/state/mod.rs"]
pub(crate) mod state;
#[path = "../../../src/pool/stats.rs"]
pub(crate) mod stats;
