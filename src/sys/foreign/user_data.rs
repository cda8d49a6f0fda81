//! Pointers that belong to the C program, with the destructor it gave along.

use std::ffi::c_void;

/// The program's own pointer, riding on a connection.
#[derive(Debug)]
pub(crate) struct UserData {
    pointer: *mut c_void,
    free: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: never dereferenced here; the program was told (header) on which threads `free` runs.
unsafe impl Send for UserData {}

impl UserData {
    pub(crate) fn new(
        pointer: *mut c_void,
        free: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> Self {
        Self { pointer, free }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }

    /// There is code of the program to run when this is freed.
    pub(crate) fn has_destructor(&self) -> bool {
        self.free.is_some()
    }

    /// Runs the destructor; the caller holds no lock.
    pub(crate) fn free(self) {
        if let Some(free) = self.free {
            // SAFETY: the program gave the two together and keeps the pointer valid for this one
            // call.
            unsafe { free(self.pointer) };
        }
    }
}
