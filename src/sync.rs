//! The one door to locks, atomics and threads, so that a model checker can stand behind it.
//!
//! Does not hold policy: which lock guards what is said where the lock lives. Every layer above `sys` calls it.
//! The normal back end is the standard library: its locks are single futex words without any process-wide table, so a
//! fresh lock in a forked child can never hang on a bucket that another thread of the parent held (parking_lot parks
//! in such a table; CONTRIBUTING.md tells why this library does not use it).
#![forbid(unsafe_code)]

pub(crate) use std::sync::{atomic, Arc, Weak};
use std::sync::{MutexGuard, PoisonError};

/// A mutex without poisoning: a panic inside a critical section is contained at the C boundary (`VCP_ERR_INTERNAL`),
/// and the next caller finds the data as the panicking one left it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// Sleeps until notified or until `limit` has passed; wakes up spuriously as every condition variable.
    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: std::time::Duration,
    ) -> MutexGuard<'a, T> {
        self.0
            .wait_timeout(guard, limit)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Sleeps until notified; wakes up spuriously as every condition variable.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}
