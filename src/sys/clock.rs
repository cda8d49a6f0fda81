//! Reads the monotonic clock (clock_gettime(2)). Nothing else in the library asks what time it is.

use std::mem::MaybeUninit;

use crate::values::clock::Time;

#[inline(always)]
fn read(id: libc::clockid_t) -> Time {
    let mut spec = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `spec` is writable; both clocks exist on every Linux that Rust supports, so the call
    // does not fail.
    let spec = unsafe {
        libc::clock_gettime(id, spec.as_mut_ptr());
        spec.assume_init()
    };
    Time::from_nanos(spec.tv_sec as u64 * 1_000_000_000 + spec.tv_nsec as u64)
}

/// CLOCK_MONOTONIC: for deadlines and durations.
pub(crate) fn now() -> Time {
    read(libc::CLOCK_MONOTONIC)
}

/// CLOCK_MONOTONIC_COARSE: at most one timer tick (1 to 10 ms) behind [`now`], and several times
/// cheaper: for ages.
#[inline(always)]
pub(crate) fn now_coarse() -> Time {
    read(libc::CLOCK_MONOTONIC_COARSE)
}
