//! No history forks: there is one process, of epoch 1.

pub(crate) use crate::real_sys::fork::CameBack;

pub(crate) fn enter(_adopt: fn(u32)) {}

pub(crate) fn enter_from_handler(_adopt: fn(u32)) {}

pub(crate) fn enter_if_forked(_before: u32) -> bool {
    false
}

pub(crate) fn is_prepared() -> bool {
    true
}

pub(crate) fn epoch() -> u32 {
    1
}

pub(crate) fn epoch_if_entered() -> u32 {
    1
}

pub(crate) fn has_forked() -> bool {
    false
}

pub(crate) fn leave_parents_call() -> ! {
    unreachable!("no history forks")
}

/// What exists once in the process.
pub(crate) mod per_process {
    use std::fmt;

    use crate::sync::atomic::{AtomicPtr, Ordering::SeqCst};
    use crate::world::{self, statics};

    /// Made when it is first asked for; one that is a static is dropped at the history's end.
    pub(crate) struct PerProcess<T> {
        made: AtomicPtr<T>,
    }

    // SAFETY: hands out `&T` only, to any thread, and drops the T on any thread.
    unsafe impl<T: Send + Sync> Send for PerProcess<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

    impl<T> fmt::Debug for PerProcess<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("PerProcess").finish_non_exhaustive()
        }
    }

    impl<T: 'static> PerProcess<T> {
        pub(crate) const fn empty() -> Self {
            Self {
                made: AtomicPtr::new(std::ptr::null_mut()),
            }
        }

        pub(crate) fn of(value: T) -> Self {
            let made = Self::empty();
            made.get_or_make(|_| value, |_| {});
            made
        }

        pub(crate) fn get_or_make(
            &self,
            make: impl FnOnce(Option<&T>) -> T,
            lost: impl FnOnce(T),
        ) -> &T {
            let mut made = self.made.load(SeqCst);
            if made.is_null() {
                made = Box::into_raw(Box::new(make(None)));
                let nobody = std::ptr::null_mut();
                match self.made.compare_exchange(nobody, made, SeqCst, SeqCst) {
                    Ok(_) => self.drop_at_end(made),
                    Err(first) => {
                        // SAFETY: never published.
                        lost(*unsafe { Box::from_raw(made) });
                        made = first;
                    }
                }
            }
            // SAFETY: published, and so it stays until `self` is dropped or the history ends.
            unsafe { &*made }
        }

        fn drop_at_end(&self, made: *mut T) {
            if statics::is_static(std::ptr::from_ref(self).cast()) {
                // SAFETY: a box, and at the end nobody uses it.
                let drop_it = move || drop(unsafe { Box::from_raw(made) });
                world::with(|world| world.at_end.push(Box::new(drop_it)));
            }
        }
    }

    impl<T> Drop for PerProcess<T> {
        fn drop(&mut self) {
            let made = *self.made.get_mut();
            if !made.is_null() {
                // SAFETY: a box that nobody else looks at any more.
                drop(unsafe { Box::from_raw(made) });
            }
        }
    }
}
