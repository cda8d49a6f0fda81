//! futex(2): sleeping on a word. On the low half of a 64-bit one, the closer of a handle waits
//! until its last user has left; on a 32-bit one, a borrower waits for a connection, and the
//! threads of a forked child for the first of them.

use crate::sync::atomic::{AtomicU32, AtomicU64};
use crate::values::clock::Deadline;

fn low_half(word: &AtomicU64) -> *const u32 {
    let base: *const u32 = (word as *const AtomicU64).cast();
    // SAFETY: both halves lie inside the word.
    unsafe { base.add(if cfg!(target_endian = "big") { 1 } else { 0 }) }
}

/// Sleeps while the low half of `word` equals that of `seen`; may return early.
pub(crate) fn wait(word: &AtomicU64, seen: u64) {
    // SAFETY: the address is a valid, aligned futex word; no timeout.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            low_half(word),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            seen as u32,
            std::ptr::null::<libc::timespec>(),
        )
    };
}

/// Wakes everyone who sleeps in [`wait`] on `word`.
pub(crate) fn wake_all(word: &AtomicU64) {
    // SAFETY: the kernel only uses the address as a key.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            low_half(word),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            i32::MAX,
        )
    };
}

/// Sleeps while `word` is `seen`, until the deadline at the most; may return early.
pub(crate) fn wait_until(word: &AtomicU32, seen: u32, until: Deadline) {
    let spec = until.time().map(|time| libc::timespec {
        tv_sec: (time.nanos() / 1_000_000_000) as libc::time_t,
        tv_nsec: (time.nanos() % 1_000_000_000) as libc::c_long,
    });
    let timeout = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a valid, aligned futex word; the timeout is absolute on CLOCK_MONOTONIC, as the
    // bitset form has it.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            seen,
            timeout,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
}

/// Wakes one that sleeps in [`wait_until`] on `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    wake(word, 1);
}

/// Wakes everyone who sleeps in [`wait_until`] on `word`.
pub(crate) fn wake_everyone(word: &AtomicU32) {
    wake(word, i32::MAX);
}

fn wake(word: &AtomicU32, count: i32) {
    // SAFETY: the kernel only uses the address as a key.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            count,
        )
    };
}
