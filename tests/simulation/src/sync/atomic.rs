//! Atomics at each of whose operations another thread may come to run.
//!
//! Zeroes are valid, since slots lie in zeroed pages. A change of one that is a static is written
//! down, so that the next history finds it as the program began. All orders are SeqCst: weak
//! memory is not simulated.

use std::sync::atomic as std_atomic;
pub(crate) use std::sync::atomic::Ordering;

use crate::world::{statics, step};

/// Orders of memory are not simulated.
pub(crate) fn fence(_order: Ordering) {
    step();
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub(crate) struct $name(std_atomic::$name);

        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self(std_atomic::$name::new(value))
            }

            #[inline(always)]
            pub(crate) fn load(&self, _order: Ordering) -> $value {
                step();
                self.0.load(Ordering::SeqCst)
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $value, _order: Ordering) {
                self.begin_change();
                self.0.store(value, Ordering::SeqCst);
            }

            #[inline(always)]
            pub(crate) fn swap(&self, value: $value, _order: Ordering) -> $value {
                self.begin_change();
                self.0.swap(value, Ordering::SeqCst)
            }

            #[inline(always)]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                _success: Ordering,
                _failure: Ordering,
            ) -> Result<$value, $value> {
                self.begin_change();
                self.0
                    .compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
            }

            #[inline(always)]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            #[inline(always)]
            pub(crate) fn fetch_update(
                &self,
                _success: Ordering,
                _failure: Ordering,
                mut update: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut seen = self.load(Ordering::SeqCst);
                while let Some(new) = update(seen) {
                    let order = Ordering::SeqCst;
                    match self.compare_exchange(seen, new, order, order) {
                        Ok(before) => return Ok(before),
                        Err(now) => seen = now,
                    }
                }
                Err(seen)
            }

            pub(crate) fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }

            pub(crate) fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }

            pub(crate) fn into_inner(self) -> $value {
                self.0.into_inner()
            }

            #[inline(always)]
            fn begin_change(&self) {
                step();
                statics::note(self.0.as_ptr().cast(), size_of::<$value>());
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $value:ty: $($method:ident),*) => {
        impl $name {
            $(
                #[inline(always)]
                pub(crate) fn $method(&self, value: $value, _order: Ordering) -> $value {
                    self.begin_change();
                    self.0.$method(value, Ordering::SeqCst)
                }
            )*
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU8, u8);
atomic!(AtomicU32, u32);
atomic!(AtomicI32, i32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
arithmetic!(AtomicBool, bool: fetch_and, fetch_or, fetch_xor);
arithmetic!(AtomicU8, u8: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor);
arithmetic!(AtomicU32, u32: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max);
arithmetic!(AtomicUsize, usize: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max);
arithmetic!(AtomicU64, u64: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max);

/// As the others, for a pointer.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(std_atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub(crate) const fn new(value: *mut T) -> Self {
        Self(std_atomic::AtomicPtr::new(value))
    }

    #[inline(always)]
    pub(crate) fn load(&self, _order: Ordering) -> *mut T {
        step();
        self.0.load(Ordering::SeqCst)
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: *mut T, _order: Ordering) {
        self.begin_change();
        self.0.store(value, Ordering::SeqCst);
    }

    #[inline(always)]
    pub(crate) fn swap(&self, value: *mut T, _order: Ordering) -> *mut T {
        self.begin_change();
        self.0.swap(value, Ordering::SeqCst)
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        _success: Ordering,
        _failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.begin_change();
        self.0
            .compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    pub(crate) fn get_mut(&mut self) -> &mut *mut T {
        self.0.get_mut()
    }

    #[inline(always)]
    fn begin_change(&self) {
        step();
        statics::note(self.0.as_ptr().cast(), size_of::<*mut T>());
    }
}
