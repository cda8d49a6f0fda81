//! eventfd(2): wakes a thread that sleeps in poll or epoll.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A non-blocking, close-on-exec event counter.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is a fresh descriptor that nobody else owns.
        unsafe {
            let fd = syscall!(eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// See [`signal`].
    pub(crate) fn signal(&self) {
        signal(self.as_fd());
    }

    /// See [`clear`].
    pub(crate) fn clear(&self) {
        clear(self.as_fd());
    }
}

/// Makes the descriptor readable. Cannot fail: the counter would have to stand at 2^64 - 2
/// (EAGAIN), and then it is readable already.
pub(super) fn signal(fd: BorrowedFd<'_>) {
    let one = 1u64.to_ne_bytes();
    // Not write(3), which is a cancellation point: a token may be fired by a thread that is being
    // canceled. SAFETY: eight readable bytes, as eventfd(2) asks for.
    unsafe { libc::syscall(libc::SYS_write, fd.as_raw_fd(), one.as_ptr(), one.len()) };
}

/// Makes the descriptor unreadable again.
pub(super) fn clear(fd: BorrowedFd<'_>) {
    let mut count = [0u8; 8];
    // SAFETY: eight writable bytes; EAGAIN (nothing to clear) is fine.
    unsafe {
        libc::syscall(
            libc::SYS_read,
            fd.as_raw_fd(),
            count.as_mut_ptr(),
            count.len(),
        )
    };
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<EventFd> for OwnedFd {
    fn from(event: EventFd) -> Self {
        event.0
    }
}
