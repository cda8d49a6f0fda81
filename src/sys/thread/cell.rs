//! A value per thread that is found by one load and borrowed by one part of the program at a time.
//!
//! std's thread-local values that need a drop ask at each access whether the drop has been
//! arranged, and a `RefCell` inside hands its value to a closure, which is not compiled into its
//! caller. So a value here is a thread-local that needs no drop: `at_exit` empties it at the
//! thread's end.
//!
//! | state of a cell | means | next |
//! |---|---|---|
//! | EMPTY | the thread has not begun, or is at its end | FREE ([`fill`]) |
//! | FREE | the value may be borrowed | BORROWED ([`borrow`]), EMPTY (the thread ends) |
//! | BORROWED | a [`ThreadGuard`] has it | FREE (the guard is dropped) |

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use crate::sync::LocalKey;

use super::at_exit::at_exit;

#[derive(Clone, Copy, PartialEq, Eq)]
enum CellState {
    Empty,
    Free,
    Borrowed,
}

/// Where a thread's value is.
pub(crate) struct ThreadCell<T> {
    state: Cell<CellState>,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> ThreadCell<T> {
    pub(crate) const fn new() -> Self {
        Self {
            state: Cell::new(CellState::Empty),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

/// The borrow of this thread's value; nothing else has it meanwhile.
pub(crate) struct ThreadGuard<T: 'static>(&'static ThreadCell<T>, PhantomData<*mut T>);

/// `None` before the thread has a value, at its end, and while the value is borrowed.
#[inline(always)]
pub(crate) fn borrow<T>(key: &'static LocalKey<ThreadCell<T>>) -> Option<ThreadGuard<T>> {
    let cell = key.with(std::ptr::from_ref);
    // SAFETY: a thread-local without a drop lives as long as its thread, which the guard (not
    // `Send`) does not leave.
    let cell = unsafe { &*cell };
    if cell.state.get() != CellState::Free {
        return None;
    }
    cell.state.set(CellState::Borrowed);
    Some(ThreadGuard(cell, PhantomData))
}

impl<T> Deref for ThreadGuard<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: borrowed from FREE, so it is initialised, and this guard alone has it.
        unsafe { (*self.0.value.get()).assume_init_ref() }
    }
}

impl<T> DerefMut for ThreadGuard<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { (*self.0.value.get()).assume_init_mut() }
    }
}

impl<T> Drop for ThreadGuard<T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.state.set(CellState::Free);
    }
}

/// Gives the thread its value, if it has none, and if it can be dropped when the thread ends. A
/// destructor of the program (pthread_key_create(3)) that runs behind that may give it another one.
fn fill<T>(key: &'static LocalKey<ThreadCell<T>>, value: T) {
    key.with(|cell| {
        let argument = std::ptr::from_ref(key).cast();
        if cell.state.get() == CellState::Empty && at_exit(drop_value::<T>, argument) {
            // SAFETY: EMPTY: nothing is there, and nothing looks at it.
            unsafe { (*cell.value.get()).write(value) };
            cell.state.set(CellState::Free);
        }
    });
}

/// As [`borrow`], of a thread that is given `first` if it has no value yet.
pub(crate) fn borrow_or_fill<T>(
    key: &'static LocalKey<ThreadCell<T>>,
    first: T,
) -> Option<ThreadGuard<T>> {
    borrow(key).or_else(|| {
        fill(key, first);
        borrow(key)
    })
}

fn drop_value<T: 'static>(key: *const ()) {
    // SAFETY: `fill` passed it, for values of this type.
    let key = unsafe { &*key.cast::<LocalKey<ThreadCell<T>>>() };
    key.with(|cell| {
        // One that is borrowed for ever (by a thread-local that ends later) stays.
        if cell.state.get() == CellState::Free {
            cell.state.set(CellState::Empty);
            // SAFETY: it was FREE, so it is initialised, and nothing finds it any more.
            unsafe { (*cell.value.get()).assume_init_drop() };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    thread_local! {
        static CELL: ThreadCell<Arc<()>> = const { ThreadCell::new() };
    }

    #[test]
    fn a_value_is_borrowed_once_at_a_time_and_dropped_with_its_thread() {
        let count = Arc::new(());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                assert!(borrow(&CELL).is_none());
                fill(&CELL, count.clone());
                fill(&CELL, count.clone());
                assert_eq!(Arc::strong_count(&count), 2);
                let guard = borrow(&CELL).expect("free");
                assert!(borrow(&CELL).is_none());
                drop(guard);
                assert!(Arc::ptr_eq(&borrow(&CELL).expect("free"), &count));
            });
            // The scope alone does not wait for the thread's own drops.
            thread.join().expect("no panic");
        });
        assert_eq!(Arc::strong_count(&count), 1);
        assert!(borrow(&CELL).is_none(), "it was another thread's");
    }
}
