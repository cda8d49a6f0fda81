//! A value per thread, found by one load and used by one part of the program at a time: std's thread-local values that need a drop ask at
//! each access whether it has been arranged, and a `RefCell` inside hands its value to a closure, which is not compiled into its caller.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::thread::LocalKey;

/// Where a thread's value is, once it has one.
pub(crate) struct Place<T: 'static>(Cell<Option<NonNull<Stand<T>>>>);

/// Frees it at the thread's end.
pub(crate) struct Keeper<T: 'static>(Cell<Option<Kept<T>>>);

type Kept<T> = (NonNull<Stand<T>>, &'static LocalKey<Place<T>>);

struct Stand<T> {
    is_in_use: Cell<bool>,
    value: UnsafeCell<T>,
}

/// The use of this thread's value; nobody else has it meanwhile.
pub(crate) struct Here<T: 'static>(NonNull<Stand<T>>, PhantomData<*mut T>);

impl<T> Place<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }
}

/// `None` before the thread has a value, at its end, and while it is in use.
#[inline(always)]
pub(crate) fn here<T>(place: &'static LocalKey<Place<T>>) -> Option<Here<T>> {
    let stand = place.with(|place| place.0.get())?;
    // SAFETY: the place points to what the keeper of this thread has not freed.
    let is_in_use = unsafe { &stand.as_ref().is_in_use };
    (!is_in_use.replace(true)).then_some(Here(stand, PhantomData))
}

impl<T> Deref for Here<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: in use, so it is not freed, and this is the one who uses it.
        unsafe { &*self.0.as_ref().value.get() }
    }
}

impl<T> DerefMut for Here<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.as_ref().value.get() }
    }
}

impl<T> Drop for Here<T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { self.0.as_ref() }.is_in_use.set(false);
    }
}

impl<T> Keeper<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// From now on `value` is this thread's, at that place, if it has none.
    pub(crate) fn keep(&self, value: T, place: &'static LocalKey<Place<T>>) {
        if self.0.get().is_some() {
            return;
        }
        let stand = Box::new(Stand {
            is_in_use: Cell::new(false),
            value: UnsafeCell::new(value),
        });
        let stand = NonNull::from(Box::leak(stand));
        self.0.set(Some((stand, place)));
        place.with(|place| place.0.set(Some(stand)));
    }
}

impl<T> Drop for Keeper<T> {
    fn drop(&mut self) {
        let Some((stand, place)) = self.0.take() else {
            return;
        };
        place.with(|place| place.0.set(None));
        // SAFETY: nobody but this keeper frees it. One that is in use for ever (in a thread-local that ends later) stays.
        unsafe {
            if !stand.as_ref().is_in_use.get() {
                drop(Box::from_raw(stand.as_ptr()));
            }
        }
    }
}
