//! The ways to measure, one a file.

pub(crate) mod build;
pub(crate) mod contention;
pub(crate) mod counters;
pub(crate) mod instructions;
pub(crate) mod interleaved;
pub(crate) mod size;
pub(crate) mod system_calls;
