//! The checker's locks, atomics and threads, under the names that the library uses.

#[cfg(feature = "loom")]
pub(crate) use loom::{
    sync::{atomic, Condvar, Mutex},
    thread,
};
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{atomic, Condvar, Mutex},
    thread,
};
// Counting references is not what is checked here.
pub(crate) use std::sync::Arc;
