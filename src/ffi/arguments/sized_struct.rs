//! Structs that begin with their size and only grow at the end.

use std::mem::{size_of, MaybeUninit};

use crate::values::error::{Error, Result};

/// No struct of any version will be larger; a size beyond it is garbage, and its tail is not read.
const LARGEST: usize = 64 << 10;

/// A C struct whose first field is its size, for which zeroes are valid.
///
/// # Safety
/// It must be so: `repr(C)`, `size: usize` first, every field valid when zeroed.
pub(crate) unsafe trait SizedStruct: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// The least size that is taken: that of version 0.1, unless its fields are of use one by one.
    const LEAST_SIZE: usize;
}

fn check_size<T: SizedStruct>(size: usize) -> Result<()> {
    if (T::LEAST_SIZE..=LARGEST).contains(&size) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "{}: bad size {size}, this version has {}",
        T::NAME,
        size_of::<T>()
    )))
}

fn forgotten<T: SizedStruct>() -> Error {
    Error::invalid_argument(format!(
        "{}: size is 0 (its _init function was not called)",
        T::NAME
    ))
}

/// Reads a struct of any version: what an older one lacks stays as in `defaults`.
///
/// # Safety
/// `from` points to a struct whose first field tells how many bytes may be read.
pub(crate) unsafe fn read<T: SizedStruct>(from: *const T, defaults: T) -> Result<T> {
    // SAFETY: the first field is there, whatever the version.
    let size = unsafe { from.cast::<usize>().read() };
    if size == 0 {
        return Err(forgotten::<T>());
    }
    check_size::<T>(size)?;
    let known = size.min(size_of::<T>());
    let mut value = defaults;
    let to: *mut T = &mut value;
    // SAFETY: `size` bytes are readable by the caller's promise, and `known` is not more than a T
    // has.
    unsafe {
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast::<u8>(), known);
        let tail = std::slice::from_raw_parts(from.cast::<u8>().add(known), size - known);
        if tail.iter().any(|&byte| byte != 0) {
            return Err(Error::invalid_argument(format!(
                "{}: options that this version does not know are set",
                T::NAME
            )));
        }
    }
    Ok(value)
}

/// Says what `write` would refuse, where its value is not at hand yet.
pub(crate) fn check_out<T: SizedStruct>(to: *mut T, size: usize) -> Result<()> {
    if to.is_null() {
        return Err(Error::invalid_argument(format!("{} is NULL", T::NAME)));
    }
    check_size::<T>(size)
}

/// Fills a struct of any version: what fits is written, what the library does not know is zeroed.
///
/// # Safety
/// `to` has `size` writable bytes, or is NULL.
pub(crate) unsafe fn write<T: SizedStruct>(to: *mut T, size: usize, value: T) -> Result<i32> {
    check_out(to, size)?;
    // SAFETY: the caller's promise.
    unsafe { fill(to, size, value) };
    Ok(0)
}

unsafe fn fill<T: SizedStruct>(to: *mut T, size: usize, value: T) {
    // Through zeroed memory, so that padding is never copied uninitialised.
    let mut image = MaybeUninit::<T>::zeroed();
    image.write(value);
    let known = size.min(size_of::<T>());
    // SAFETY: `to` has `size` bytes, the image has `known`; the first field is a usize.
    unsafe {
        std::ptr::copy_nonoverlapping(image.as_ptr().cast::<u8>(), to.cast::<u8>(), known);
        std::ptr::write_bytes(to.cast::<u8>().add(known), 0, size - known);
        to.cast::<usize>().write(size);
    }
}
