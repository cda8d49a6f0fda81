//! A mutex and a condition variable of the simulated scheduler.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::world::{self, step, tasks};

/// A mutex of simulated threads.
pub(crate) struct Mutex<T> {
    is_locked: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: all simulated threads are coroutines of one thread, and a switch happens in `step` and
// the calls that sleep alone.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Mutex<T> {}

/// Holds the lock while it lives.
pub(crate) struct MutexGuard<'a, T>(&'a Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            is_locked: Cell::new(false),
            value: UnsafeCell::new(value),
        }
    }

    fn key(&self) -> u64 {
        std::ptr::from_ref(self).cast::<()>() as u64
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        step();
        while self.is_locked.get() {
            tasks::sleep_on(&[self.key()], None, "a lock");
        }
        self.is_locked.set(true);
        MutexGuard(self)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard alone has the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.0.is_locked.set(false);
        world::with(|world| world.wake_on(self.0.key(), 1));
        step();
    }
}

/// A condition variable of simulated threads.
#[derive(Debug, Default)]
pub(crate) struct Condvar(u8);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    fn key(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    fn sleep<'a, T>(&self, guard: MutexGuard<'a, T>, until: Option<u64>) -> MutexGuard<'a, T> {
        let mutex = guard.0;
        // Nobody runs between the unlock and the sleep, as it must be.
        mutex.is_locked.set(false);
        std::mem::forget(guard);
        world::with(|world| world.wake_on(mutex.key(), 1));
        tasks::sleep_on(&[self.key()], until, "a condition variable");
        mutex.lock()
    }

    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> MutexGuard<'a, T> {
        let now = world::with(|world| world.now);
        let until = now.saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        self.sleep(guard, Some(until))
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.sleep(guard, None)
    }

    pub(crate) fn notify_all(&self) {
        step();
        world::with(|world| world.wake_on(self.key(), usize::MAX));
    }

    pub(crate) fn notify_one(&self) {
        step();
        world::with(|world| world.wake_on(self.key(), 1));
    }
}
