//! What a thread does when it ends, the program's threads included.
//!
//! By a key of pthread_key_create(3). A thread-local of std with a drop registers that by memory
//! that glibc and std take past the global allocator, and both end the process where malloc(3)
//! fails. The value of a key below 32 needs none, and pthread_setspecific(3) fails where that of
//! another one does.

use std::cell::Cell;
use std::ffi::c_void;

use crate::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire},
};

/// The library's thread-locals that have something to drop.
const MOST: usize = 4;

/// What is done, with its argument.
type ExitAction = (fn(*const ()), *const ());

thread_local! {
    static ACTIONS: Cell<[Option<ExitAction>; MOST]> = const { Cell::new([None; MOST]) };
}

/// The key + 1; 0: there is none yet. It is never deleted, because the library is never unloaded.
static KEY: AtomicU32 = AtomicU32::new(0);

extern "C" fn run(_: *mut c_void) {
    for (action, argument) in ACTIONS.replace([None; MOST]).into_iter().flatten() {
        action(argument);
    }
}

fn key() -> Option<libc::pthread_key_t> {
    if let Some(key) = KEY.load(Acquire).checked_sub(1) {
        return Some(key);
    }
    let mut key = 0;
    // SAFETY: an out parameter, and a destructor that may run on any thread.
    if unsafe { libc::pthread_key_create(&mut key, Some(run)) } != 0 {
        return None;
    }
    match KEY.compare_exchange(0, key + 1, AcqRel, Acquire) {
        Ok(_) => Some(key),
        Err(first) => {
            // SAFETY: this thread made it, and nobody else has seen it.
            unsafe { libc::pthread_key_delete(key) };
            Some(first - 1)
        }
    }
}

/// Has `action` run with `argument` when this thread ends. False: it will not run, because there is
/// no memory, no key, or no room.
pub(super) fn at_exit(action: fn(*const ()), argument: *const ()) -> bool {
    let mut actions = ACTIONS.get();
    let (Some(free), Some(key)) = (actions.iter_mut().find(|one| one.is_none()), key()) else {
        return false;
    };
    *free = Some((action, argument));
    // SAFETY: the key exists. Its value only says that there is something to do.
    let is_set = unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(&KEY).cast()) } == 0;
    if is_set {
        ACTIONS.set(actions);
    }
    is_set
}
