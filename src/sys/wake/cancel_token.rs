//! A cancel token: fired once, it stays fired and its eventfd readable.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Wake, Waker};
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Ends every dial and read that carries it. No heap and no lock, so a signal handler may fire it.
#[derive(Debug, Default)]
pub(crate) struct CancelToken {
    has_fired: AtomicBool,
    waker: Waker,
}

impl CancelToken {
    /// Fires it, from any thread or signal handler.
    pub(crate) fn fire(&self) {
        self.has_fired.store(true, SeqCst);
        self.waker.wake();
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.has_fired.load(SeqCst)
    }

    /// A descriptor that is readable once the token has fired. Look at `has_fired` after this call:
    /// it may have fired before.
    pub(crate) fn arm(&self) -> io::Result<BorrowedFd<'_>> {
        self.waker.arm()
    }
}
