//! Zeroed memory that lasts as long as the history.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::io;
use std::ptr::NonNull;

pub(crate) use crate::real_sys::memory::map_wiped_on_fork;
use crate::world;

const PAGE: usize = 4096;

fn layout(length: usize) -> Layout {
    Layout::from_size_align(length, PAGE).expect("a size that a table asks for")
}

pub(crate) fn map_forever(length: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: not of size zero.
    let fresh = NonNull::new(unsafe { alloc_zeroed(layout(length)) });
    let fresh = fresh.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
    let address = fresh.as_ptr() as usize;
    // SAFETY: made here with that layout; at the end nobody uses it.
    let free = move || unsafe { dealloc(address as *mut u8, layout(length)) };
    world::with(|world| world.at_end.insert(0, Box::new(free)));
    Ok(fresh)
}

/// No history runs out of memory.
pub(crate) fn is_short() -> bool {
    false
}

pub(crate) fn has(_bytes: usize) -> bool {
    true
}

pub(crate) fn or_none<T, E>(ask: impl FnOnce() -> Result<T, E>) -> Option<T> {
    ask().ok()
}

pub(crate) fn try_reserve<T>(list: &mut Vec<T>, more: usize) -> bool {
    list.try_reserve(more).is_ok()
}

/// It goes at the history's end with the others.
pub(crate) fn unmap_unseen(_address: NonNull<u8>, _length: usize) {}
