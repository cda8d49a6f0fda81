//! A value that every process of a line of forks makes for itself.
//!
//! In a child the parent's value may be half changed for ever, its locks held by threads that do
//! not exist there. So it is left as it is, neither dropped nor lost to tools that look for leaks,
//! and its place is taken by a new one.

use crate::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};
use crate::sys::fork;

struct Made<T> {
    epoch: u32,
    value: T,
    inherited: *mut Made<T>,
}

/// Made anew in each process that asks for it.
pub(crate) struct PerProcess<T> {
    latest: AtomicPtr<Made<T>>,
}

// SAFETY: hands out `&T` only, to any thread, and drops the T on any thread.
unsafe impl<T: Send + Sync> Send for PerProcess<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

impl<T> std::fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

impl<T> PerProcess<T> {
    /// Made when it is first asked for.
    pub(crate) const fn empty() -> Self {
        Self {
            latest: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Made already, for this process.
    pub(crate) fn of(value: T) -> Self {
        let made = Self::empty();
        made.get_or_make(|_| value, |_| {});
        made
    }

    /// This process's value. If there is none, `make` is shown the inherited one, of which it may
    /// look at what never changes; of two threads that make one at once, one has its own given to
    /// `lost`.
    pub(crate) fn get_or_make(
        &self,
        make: impl FnOnce(Option<&T>) -> T,
        lost: impl FnOnce(T),
    ) -> &T {
        let seen = self.latest.load(Acquire);
        // SAFETY: what is published stays until `self` is dropped.
        match unsafe { seen.as_ref() } {
            Some(made) if made.epoch == fork::epoch() => &made.value,
            inherited => self.make(seen, make(inherited.map(|made| &made.value)), lost),
        }
    }

    #[cold]
    fn make(&self, inherited: *mut Made<T>, value: T, lost: impl FnOnce(T)) -> &T {
        let fresh = Box::into_raw(Box::new(Made {
            epoch: fork::epoch(),
            value,
            inherited,
        }));
        let first = match self
            .latest
            .compare_exchange(inherited, fresh, AcqRel, Acquire)
        {
            Ok(_) => fresh,
            Err(first) => {
                // SAFETY: never published.
                lost(unsafe { Box::from_raw(fresh) }.value);
                first
            }
        };
        // SAFETY: published, and so it stays until `self` is dropped.
        unsafe { &(*first).value }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let latest = *self.latest.get_mut();
        // SAFETY: published nodes are boxes, and nobody else looks at them any more.
        let own = match unsafe { latest.as_ref() } {
            Some(made) if made.epoch == fork::epoch() => {
                // SAFETY: as above. The box does not own its predecessor.
                unsafe { Box::from_raw(latest) }
            }
            Some(_) => return leave(latest.cast()),
            None => return,
        };
        if !own.inherited.is_null() {
            leave(own.inherited.cast());
        }
    }
}

/// What was left as it is. Only for valgrind and LeakSanitizer, which call memory lost that nothing
/// points to.
struct Left {
    _what: *mut (),
    _next: *mut Left,
}

/// Nobody uses it any more, and nobody frees it.
pub(super) fn leave(what: *mut ()) {
    static LEFT: AtomicPtr<Left> = AtomicPtr::new(std::ptr::null_mut());
    let mut next = LEFT.load(Acquire);
    loop {
        let left = Box::into_raw(Box::new(Left {
            _what: what,
            _next: next,
        }));
        match LEFT.compare_exchange(next, left, AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => {
                next = now;
                // SAFETY: never published.
                drop(unsafe { Box::from_raw(left) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn it_is_made_once_and_dropped_once() {
        let count = Arc::new(());
        let cell = PerProcess::empty();
        let make = |inherited: Option<&Arc<()>>| {
            assert!(inherited.is_none());
            count.clone()
        };
        let first: *const _ = cell.get_or_make(make, drop);
        assert!(std::ptr::eq(first, cell.get_or_make(make, drop)));
        assert_eq!(Arc::strong_count(&count), 2);
        drop(cell);
        assert_eq!(Arc::strong_count(&count), 1);
    }

    #[test]
    fn of_many_threads_that_make_it_all_get_the_same() {
        for _ in 0..100 {
            let count = Arc::new(());
            let cell = PerProcess::empty();
            let seen: Vec<usize> = std::thread::scope(|scope| {
                let get = || {
                    let made: *const Arc<()> = cell.get_or_make(|_| count.clone(), drop);
                    made as usize
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(get)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("no panic"))
                    .collect()
            });
            assert!(seen.iter().all(|&one| one == seen[0]));
            assert_eq!(Arc::strong_count(&count), 2);
        }
    }
}
