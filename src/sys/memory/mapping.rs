//! Pages that are never given back (mmap(2)): the handle tables live in them, and the word that
//! tells a forked child.

use std::io;
use std::ptr::NonNull;

/// Maps `length` zeroed bytes, private to this process, for the rest of its life.
pub(crate) fn map_forever(length: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that
    // exists.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Maps zeroed bytes for ever, zeroed again in every child of this process. Fails on a kernel that
/// cannot do it (before 4.14), too.
pub(crate) fn map_wiped_on_fork(length: usize) -> io::Result<NonNull<u8>> {
    let page = map_forever(length)?;
    // SAFETY: the mapping that was just made, in whole pages.
    let wiped = unsafe { syscall!(madvise(page.as_ptr().cast(), length, libc::MADV_WIPEONFORK)) };
    wiped
        .map(|_| page)
        .inspect_err(|_| unmap_unseen(page, length))
}

/// Gives back a mapping that nobody has seen yet (a second thread published the same chunk first).
pub(crate) fn unmap_unseen(address: NonNull<u8>, length: usize) {
    // SAFETY: the caller made the mapping and never shared its address.
    unsafe { libc::munmap(address.as_ptr().cast(), length) };
}
