//! What tells the socket of a driver's session.

use std::ffi::c_void;
use std::os::fd::RawFd;

/// The program's function that tells the socket of a session, with the session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionFd {
    session: *mut c_void,
    fd: unsafe extern "C" fn(*mut c_void) -> i32,
}

// SAFETY: the session is never dereferenced here, and `fd` is called by the connection's owner
// alone, one call at a time (header: vcp_session_fd_fn).
unsafe impl Send for SessionFd {}
// SAFETY: as above.
unsafe impl Sync for SessionFd {}

impl SessionFd {
    pub(crate) fn new(session: *mut c_void, fd: unsafe extern "C" fn(*mut c_void) -> i32) -> Self {
        Self { session, fd }
    }

    /// The socket that the session has now; `None`: it has none.
    ///
    /// Called by the thread that owns the connection, without any lock: it is code of the program.
    pub(crate) fn ask(self) -> Option<RawFd> {
        // SAFETY: the program gave the two together, and keeps the session valid until its end.
        let number = unsafe { (self.fd)(self.session) };
        (number >= 0).then_some(number)
    }
}
