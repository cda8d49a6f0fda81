//! What belongs to the program: as in src/sys, but for the look whether a number is open.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

pub(crate) use crate::real_sys::foreign::{text, ConnFd, SessionFd, UserData};
use crate::world;

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

    pub(crate) fn borrow(&self) -> io::Result<BorrowedFd<'_>> {
        world::with(|world| world.descriptors.file(self.0))?;
        // SAFETY: it is open, and stays so while `self` lives (`new`).
        Ok(unsafe { BorrowedFd::borrow_raw(self.0) })
    }

    pub(crate) fn take(self) -> io::Result<OwnedFd> {
        self.borrow()?;
        // SAFETY: it is open, nothing else owns it (`new`), and `self` is gone.
        Ok(unsafe { OwnedFd::from_raw_fd(self.0) })
    }

    pub(crate) fn give(fd: OwnedFd) -> Self {
        Self(fd.into_raw_fd())
    }
}
