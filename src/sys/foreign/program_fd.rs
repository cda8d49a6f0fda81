//! Descriptors that the program passes in, or is given.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A descriptor that belongs to the program, and that a pool takes or has given away. Nothing
/// closes it while the value lives: that is the program's promise. A number that a pool has already
/// is for `handle::fd_owners` to find.
#[derive(Debug)]
pub(crate) struct ProgramFd(RawFd);

impl ProgramFd {
    /// # Safety
    /// The program has passed the number in, and promised that nothing else uses it meanwhile.
    pub(crate) unsafe fn new(number: RawFd) -> Self {
        Self(number)
    }

    pub(crate) fn number(&self) -> RawFd {
        self.0
    }

    /// Fails with EBADF for a number that is not open.
    pub(crate) fn borrow(&self) -> io::Result<BorrowedFd<'_>> {
        // SAFETY: no pointers.
        unsafe { syscall!(fcntl(self.0, libc::F_GETFD)) }?;
        // SAFETY: it is open, and stays so while `self` lives (`new`).
        Ok(unsafe { BorrowedFd::borrow_raw(self.0) })
    }

    /// Takes the ownership. Fails with EBADF for a number that is not open.
    pub(crate) fn take(self) -> io::Result<OwnedFd> {
        self.borrow()?;
        // SAFETY: it is open, nothing else owns it (`new`), and `self` is gone.
        Ok(unsafe { OwnedFd::from_raw_fd(self.0) })
    }

    /// Gives the ownership to the program.
    pub(crate) fn give(fd: OwnedFd) -> Self {
        Self(fd.into_raw_fd())
    }
}
