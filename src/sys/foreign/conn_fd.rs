//! The descriptor of a connection: the pool's own, or one that a driver keeps.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::sync::atomic::{
    AtomicI32,
    Ordering::{Acquire, Release},
};

/// The descriptor of a connection.
#[derive(Debug)]
pub(crate) enum ConnFd {
    /// The pool's: closed with the value.
    Own(OwnedFd),
    /// As the driver told it last; -1: it has none. Never closed here.
    OfDriver(AtomicI32),
}

impl ConnFd {
    /// A driver's session, of which no descriptor is known yet.
    pub(crate) fn of_driver() -> Self {
        Self::OfDriver(AtomicI32::new(-1))
    }

    /// -1: there is none.
    pub(crate) fn number(&self) -> RawFd {
        match self {
            Self::Own(fd) => fd.as_raw_fd(),
            Self::OfDriver(number) => number.load(Acquire),
        }
    }

    /// A driver may close its descriptor at any time during a borrow. What is done by the borrowed
    /// number then fails with EBADF or meets another file, so a caller that changes anything
    /// compares device and inode first.
    pub(crate) fn borrow(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Own(fd) => Some(fd.as_fd()),
            Self::OfDriver(_) => match self.number() {
                -1 => None,
                // SAFETY: not -1. The driver has told it as its own; see above.
                number => Some(unsafe { BorrowedFd::borrow_raw(number) }),
            },
        }
    }

    /// The driver has told another one. Nothing to do for the pool's own.
    pub(crate) fn set(&self, number: RawFd) {
        if let Self::OfDriver(fd) = self {
            fd.store(number.max(-1), Release);
        }
    }

    /// The pool's own, to be closed or given away.
    pub(crate) fn into_own(self) -> Option<OwnedFd> {
        match self {
            Self::Own(fd) => Some(fd),
            Self::OfDriver(_) => None,
        }
    }
}
