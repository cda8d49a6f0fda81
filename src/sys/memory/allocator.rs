//! The allocator of everything in this library: malloc(3), and the reserve while that fails.
//!
//! A failed allocation would end the process (std::alloc::handle_alloc_error). So one that cannot
//! be refused is served from the reserve; where even that is exhausted, its thread waits until
//! another one has given something back, or malloc works again. What may be refused says so
//! (`shortage::or_none`), and gets nothing from the reserve.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{null_mut, NonNull};
use std::time::Duration;

use super::reserve::RESERVE;
use super::shortage::may_be_refused;

/// How often a thread looks that has found neither memory nor reserve.
const RETRY: Duration = Duration::from_millis(1);

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// What cannot be refused; null where it can.
#[cold]
fn take_from_reserve(layout: Layout) -> *mut u8 {
    // The defect plant-abort-on-failed-memory: what cannot be refused is (tests/planted).
    if may_be_refused() || cfg!(feature = "plant-abort-on-failed-memory") {
        return null_mut();
    }
    loop {
        if let Some(place) = RESERVE.take(layout) {
            return place.as_ptr();
        }
        std::thread::sleep(RETRY);
        // SAFETY: the caller's layout, which is not empty.
        let place = unsafe { System.alloc(layout) };
        if !place.is_null() {
            return place;
        }
    }
}

// SAFETY: each place comes from `System` or from the reserve, which tells by its address, and goes
// back to where it came from.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let place = unsafe { System.alloc(layout) };
        if place.is_null() {
            return take_from_reserve(layout);
        }
        place
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let place = unsafe { System.alloc_zeroed(layout) };
        if !place.is_null() {
            return place;
        }
        let place = take_from_reserve(layout);
        if let Some(place) = NonNull::new(place) {
            // SAFETY: it has so many bytes.
            unsafe { place.as_ptr().write_bytes(0, layout.size()) };
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if RESERVE.has(place) {
            // SAFETY: `take_from_reserve` returned it for that layout.
            unsafe { RESERVE.give_back(place, layout) };
        } else {
            // SAFETY: it is of `System`.
            unsafe { System.dealloc(place, layout) };
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if RESERVE.has(place) && size <= layout.size() {
            // SAFETY: `take_from_reserve` returned it for that layout.
            unsafe { RESERVE.shrink(place, layout, size) };
            return place;
        }
        if !RESERVE.has(place) {
            // SAFETY: it is of `System`.
            let moved = unsafe { System.realloc(place, layout, size) };
            if !moved.is_null() {
                return moved;
            }
            if size <= layout.size() {
                // It stays larger than it has to be; free(3) knows how large it is.
                return place;
            }
        }
        // SAFETY: the caller's promise: not empty, and no more than isize::MAX.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as above.
        let moved = unsafe { self.alloc(wanted) };
        if let Some(moved) = NonNull::new(moved) {
            // SAFETY: both have so many bytes, and the new one is nobody else's.
            unsafe {
                let bytes = layout.size().min(size);
                std::ptr::copy_nonoverlapping(place, moved.as_ptr(), bytes);
                self.dealloc(place, layout);
            }
        }
        moved
    }
}
