//! futex(2) over the world.

use crate::sync::atomic::{AtomicU32, AtomicU64};
use crate::values::clock::Deadline;
use crate::world::{self, step, tasks};

fn key<T>(word: *mut T) -> u64 {
    word as u64
}

/// Nothing switches between the look and the sleep, as it must be.
pub(crate) fn wait(word: &AtomicU64, seen: u64) {
    step();
    // SAFETY: one thread of the machine runs all simulated threads.
    if unsafe { *word.as_ptr() } as u32 == seen as u32 {
        tasks::sleep_on(&[key(word.as_ptr())], None, "a futex");
    }
}

pub(crate) fn wake_all(word: &AtomicU64) {
    step();
    world::with(|world| world.wake_on(key(word.as_ptr()), usize::MAX));
}

pub(crate) fn wait_until(word: &AtomicU32, seen: u32, until: Deadline) {
    step();
    // SAFETY: as above.
    if unsafe { *word.as_ptr() } == seen {
        let until = until.time().map(|time| time.nanos());
        tasks::sleep_on(&[key(word.as_ptr())], until, "a futex");
    }
}

pub(crate) fn wake_one(word: &AtomicU32) {
    step();
    world::with(|world| world.wake_on(key(word.as_ptr()), 1));
}

pub(crate) fn wake_everyone(word: &AtomicU32) {
    step();
    world::with(|world| world.wake_on(key(word.as_ptr()), usize::MAX));
}
