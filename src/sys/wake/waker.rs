//! Wakes a thread that sleeps in poll(2) inside the library.
//!
//! The thread that changes something wakes; the one that is about to sleep arms first, then looks
//! whether anything has changed already. The eventfd is made by the first arming, so work that
//! never sleeps never pays for it. It belongs to one process: a forked child that arms gets its
//! own, and never wakes its parent's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use super::Wake;
use crate::sync::atomic::{
    fence, AtomicU64,
    Ordering::{AcqRel, Acquire, SeqCst},
};
use crate::sys::eventfd::{self, EventFd};
use crate::sys::fork;

/// An eventfd that is made when it is first armed: `epoch << 32 | descriptor + 1`, and 0 before
/// that.
#[derive(Debug, Default)]
pub(crate) struct Waker(AtomicU64);

impl Waker {
    /// The eventfd of this process.
    fn own(&self) -> Option<BorrowedFd<'_>> {
        let bits = self.0.load(Acquire);
        let is_own = bits as u32 != 0 && (bits >> 32) as u32 == fork::epoch();
        // SAFETY: made by `arm` and closed when `self` is dropped.
        is_own.then(|| unsafe { BorrowedFd::borrow_raw(bits as i32 - 1) })
    }

    /// A descriptor that is readable from the next wake on. A change before that wake cannot be
    /// missed by a thread that looks for it after this call.
    pub(crate) fn arm(&self) -> io::Result<BorrowedFd<'_>> {
        let event = loop {
            let seen = self.0.load(Acquire);
            if let Some(event) = self.own() {
                break event;
            }
            let fresh = EventFd::new()?;
            let number = fresh.as_fd().as_raw_fd() as u64 + 1;
            let bits = u64::from(fork::epoch()) << 32 | number;
            // A parent's number is forgotten, not closed: by now it may be another file's here.
            if self.0.compare_exchange(seen, bits, AcqRel, Acquire).is_ok() {
                let _ = OwnedFd::from(fresh).into_raw_fd();
            }
        };
        // Pairs with the fence in `wake`: either the waking thread sees the eventfd, or this thread
        // sees the change.
        fence(SeqCst);
        Ok(event)
    }

    /// Makes the descriptor unreadable again. To be called before looking at what has changed.
    pub(crate) fn clear(&self) {
        if let Some(event) = self.own() {
            eventfd::clear(event);
        }
    }
}

impl Wake for Waker {
    /// Takes no lock and no memory, so a signal handler may call it.
    fn wake(&self) {
        fence(SeqCst);
        if let Some(event) = self.own() {
            eventfd::signal(event);
        }
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        if let Some(event) = self.own() {
            // SAFETY: `arm` left it to this value, and nobody looks at it any more.
            drop(unsafe { OwnedFd::from_raw_fd(event.as_raw_fd()) });
        }
    }
}
