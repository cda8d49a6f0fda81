//! std draws its hash keys by getrandom(2), and the library its seed from them. Here they are
//! always the same, or a history would not be that of its seed.

/// Where std draws from.
#[no_mangle]
extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: libc::c_uint) -> isize {
    // SAFETY: so many writable bytes, by the caller's promise.
    unsafe { buffer.write_bytes(0x5a, length) };
    length as isize
}
