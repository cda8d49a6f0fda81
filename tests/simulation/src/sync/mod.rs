//! The library's door to locks, atomics and threads, with the simulated scheduler behind it.

pub(crate) mod atomic;
mod local;
mod lock;

pub(crate) use self::local::LocalKey;
pub(crate) use self::lock::{Condvar, Mutex, MutexGuard};
// Counting references is not what is checked here.
pub(crate) use std::sync::Arc;
