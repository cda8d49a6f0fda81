//! The one door to locks, atomics and threads, so that a model checker can stand behind it.
//!
//! Does not hold policy: which lock guards what is said where the lock lives. Every layer above
//! `sys` calls it. The normal back end is the standard library: its locks are single futex words
//! without any process-wide table, so a fresh lock in a forked child can never hang on a bucket
//! that another thread of the parent held (parking_lot parks in such a table; CONTRIBUTING.md tells
//! why this library does not use it).
#![forbid(unsafe_code)]

pub(crate) use std::sync::{atomic, Arc};
pub(crate) use std::thread::LocalKey;
use std::time::Duration;

#[cfg(vcp_instrumented_locks)]
use self::parking_lot_locks as locks;
#[cfg(not(vcp_instrumented_locks))]
use self::std_locks as locks;

pub(crate) use self::locks::MutexGuard;

/// A mutex without poisoning: a panic inside a critical section is contained at the C boundary
/// (`VCP_ERR_INTERNAL`), and the next caller finds the data as the panicking one left it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(locks::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(locks::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        locks::lock(&self.0)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(locks::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(locks::Condvar::new())
    }

    /// Sleeps until notified or until `limit` has passed; wakes up spuriously as every condition
    /// variable.
    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> MutexGuard<'a, T> {
        locks::wait_for(&self.0, guard, limit)
    }

    /// Sleeps until notified; wakes up spuriously as every condition variable.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        locks::wait(&self.0, guard)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// What is shipped.
#[cfg(not(vcp_instrumented_locks))]
mod std_locks {
    use std::sync::PoisonError;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    use std::time::Duration;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait_for<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> MutexGuard<'a, T> {
        condvar
            .wait_timeout(guard, limit)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// What ThreadSanitizer can see: compiled with this crate, where std's are not.
#[cfg(vcp_instrumented_locks)]
mod parking_lot_locks {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    use std::time::Duration;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
    ) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
    }

    pub(crate) fn wait_for<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> MutexGuard<'a, T> {
        condvar.wait_for(&mut guard, limit);
        guard
    }
}
