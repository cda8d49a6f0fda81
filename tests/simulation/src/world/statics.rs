//! Every history finds the statics as the program began with them.
//!
//! The library's statics are atomics. What an operation is about to change in one is noted here,
//! with what was there; at the end all is put back, the last change first.

use std::cell::UnsafeCell;

extern "C" {
    // Where the linker puts what is written to: .data begins at the one, .bss ends at the other.
    static __data_start: u8;
    static _end: u8;
}

#[derive(Clone, Copy)]
struct Noted {
    at: *mut u8,
    size: usize,
    before: u64,
}

struct Journal(UnsafeCell<Vec<Noted>>);

// SAFETY: one thread of the machine runs all simulated threads.
unsafe impl Sync for Journal {}

static JOURNAL: Journal = Journal(UnsafeCell::new(Vec::new()));

/// True for the address of a static.
#[inline(always)]
pub(crate) fn is_static(at: *const u8) -> bool {
    let begin = &raw const __data_start as usize;
    let end = &raw const _end as usize;
    (at as usize).wrapping_sub(begin) < end - begin
}

/// Called before a change.
#[inline(always)]
pub(crate) fn note(at: *mut u8, size: usize) {
    if is_static(at) {
        remember(at, size);
    }
}

#[cold]
fn remember(at: *mut u8, size: usize) {
    let mut before = [0u8; 8];
    // SAFETY: an atomic of that size stands there, and no other thread is.
    unsafe { std::ptr::copy_nonoverlapping(at, before.as_mut_ptr(), size) };
    let before = u64::from_ne_bytes(before);
    // SAFETY: as above.
    unsafe { &mut *JOURNAL.0.get() }.push(Noted { at, size, before });
}

/// Puts everything back.
pub(crate) fn restore() {
    // SAFETY: as above.
    let journal = unsafe { &mut *JOURNAL.0.get() };
    while let Some(Noted { at, size, before }) = journal.pop() {
        let before = before.to_ne_bytes();
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(before.as_ptr(), at, size) };
    }
}
