//! Thread-locals of simulated threads, in the words of std's macro.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::world::tasks;

/// The value is gone: its thread is at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessError;

/// Where each simulated thread finds its own value.
pub(crate) struct LocalKey<T: 'static> {
    init: fn() -> T,
    value: PhantomData<T>,
}

// SAFETY: the values are reached by their own thread alone.
unsafe impl<T> Send for LocalKey<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for LocalKey<T> {}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

impl<T: 'static> LocalKey<T> {
    pub(crate) const fn new(init: fn() -> T) -> Self {
        Self {
            init,
            value: PhantomData,
        }
    }

    pub(crate) fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let key = std::ptr::from_ref(self) as usize;
        let value = match tasks::local(key) {
            Some(value) => value,
            None => tasks::add_local(
                key,
                Box::into_raw(Box::new((self.init)())).cast(),
                free::<T>,
            )
            .ok_or(AccessError)?,
        };
        // SAFETY: made by `add_local` of this key, and freed when the thread ends.
        Ok(f(unsafe { &*value.cast::<T>() }))
    }

    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(AccessError) => panic!("a thread-local is used after its thread's end"),
        }
    }
}

/// # Safety
/// `value` was a `Box<T>`.
unsafe fn free<T>(value: *mut u8) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(value.cast::<T>()) });
}

impl<T: 'static> LocalKey<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}
