//! futex(2) on the low half of a 64-bit word: lets the one who closes a handle sleep until its last user has left.

use crate::sync::atomic::AtomicU64;

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
