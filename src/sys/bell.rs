//! Wakes a thread that sleeps in poll(2) inside the library.
//!
//! Whoever changes something rings; whoever is about to sleep listens first, then looks whether anything has changed
//! already. The eventfd is made when somebody listens, so work that never sleeps never pays for it. It belongs to one
//! process: a forked child that listens gets its own, and never rings at its parent's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use super::eventfd::{self, EventFd};
use super::fork;
use crate::sync::atomic::{
    fence, AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, SeqCst},
};

/// Is told that something has changed; takes the news to whoever must look.
pub(crate) trait Ring: std::fmt::Debug + Send + Sync {
    fn ring(&self);
}

impl Ring for Bell {
    fn ring(&self) {
        Bell::ring(self);
    }
}

/// One sleeper's bell: `generation << 32 | descriptor + 1`, 0 before anybody listened.
#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicU64);

impl Bell {
    /// The eventfd of this process.
    fn own(&self) -> Option<BorrowedFd<'_>> {
        let bits = self.0.load(Acquire);
        let is_own = bits as u32 != 0 && (bits >> 32) as u32 == fork::generation();
        // SAFETY: made by `listen` and closed when `self` is dropped.
        is_own.then(|| unsafe { BorrowedFd::borrow_raw(bits as i32 - 1) })
    }

    /// A descriptor that is readable from the next ring on. What was changed before it cannot be missed if it is looked
    /// at after this call.
    pub(crate) fn listen(&self) -> io::Result<BorrowedFd<'_>> {
        let event = loop {
            let seen = self.0.load(Acquire);
            if let Some(event) = self.own() {
                break event;
            }
            let fresh = EventFd::new()?;
            let number = fresh.as_fd().as_raw_fd() as u64 + 1;
            let bits = u64::from(fork::generation()) << 32 | number;
            // A parent's number is forgotten, not closed: by now it may be another file's here.
            if self.0.compare_exchange(seen, bits, AcqRel, Acquire).is_ok() {
                let _ = OwnedFd::from(fresh).into_raw_fd();
            }
        };
        // Pairs with the fence in `ring`: either the ringer sees the eventfd, or this thread sees the change.
        fence(SeqCst);
        Ok(event)
    }

    /// To be called after the change. Takes no lock and no memory, so a signal handler may call it.
    pub(crate) fn ring(&self) {
        fence(SeqCst);
        if let Some(event) = self.own() {
            eventfd::signal(event);
        }
    }

    /// Makes it quiet again, before looking at what changed.
    pub(crate) fn hush(&self) {
        if let Some(event) = self.own() {
            eventfd::clear(event);
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(event) = self.own() {
            // SAFETY: `listen` left it to this value, and nobody looks at it any more.
            drop(unsafe { OwnedFd::from_raw_fd(event.as_raw_fd()) });
        }
    }
}

/// A cancel token: a bell that, once rung, rings for ever.
#[derive(Debug, Default)]
pub(crate) struct Token {
    has_fired: AtomicBool,
    bell: Bell,
}

impl Token {
    /// From any thread, and from a signal handler.
    pub(crate) fn fire(&self) {
        self.has_fired.store(true, SeqCst);
        self.bell.ring();
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.has_fired.load(SeqCst)
    }

    /// Readable once it has fired; to be followed by a look at `has_fired`.
    pub(crate) fn listen(&self) -> io::Result<BorrowedFd<'_>> {
        self.bell.listen()
    }
}
