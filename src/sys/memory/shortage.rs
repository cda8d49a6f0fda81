//! Whether memory is short, and how to ask for memory that may be refused.

use std::cell::Cell;
use std::hint::black_box;

/// What most calls need at once at the most. glibc keeps freed pieces of up to 1,032 bytes for the
/// thread that asks next (mallopt(3), glibc.malloc.tcache_max), so a look costs some 40
/// instructions.
const PROBE: usize = 1024;

thread_local! {
    /// This thread asks for memory that it can do without.
    static MAY_BE_REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// malloc(3) fails now: nothing new is to begin, so that the reserve lasts for what has begun.
pub(crate) fn is_short() -> bool {
    // SAFETY: a pointer of malloc(3), or null, is freed once. Without the black box the compiler
    // may leave both out, and take malloc for one that never fails.
    unsafe {
        let place = black_box(libc::malloc(PROBE));
        libc::free(place);
        place.is_null()
    }
}

pub(super) fn may_be_refused() -> bool {
    MAY_BE_REFUSED.get()
}

/// Runs `ask`, which asks for memory by std's `try_` functions alone: where malloc(3) fails they
/// fail, and leave the reserve to those who cannot be refused.
fn or_refused<T>(ask: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            MAY_BE_REFUSED.set(self.0);
        }
    }
    let _before = Before(MAY_BE_REFUSED.replace(true));
    ask()
}

/// What `ask` allocates by a `try_` function; `None` where there is no memory for it.
pub(crate) fn or_none<T, E>(ask: impl FnOnce() -> Result<T, E>) -> Option<T> {
    or_refused(ask).ok()
}

/// There is memory for so many bytes, now.
pub(crate) fn has(bytes: usize) -> bool {
    or_none(|| Vec::<u8>::new().try_reserve_exact(bytes)).is_some()
}

/// Sees to it that `more` elements fit in without an allocation. False: there is no memory.
pub(crate) fn try_reserve<T>(list: &mut Vec<T>, more: usize) -> bool {
    list.capacity() - list.len() >= more || or_refused(|| list.try_reserve(more)).is_ok()
}
