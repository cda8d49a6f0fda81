//! Wakes a thread that sleeps in poll(2) inside the library.
//!
//! Whoever changes something rings; whoever is about to sleep listens first, then looks whether anything has changed
//! already. The eventfd is made when somebody listens, so work that never sleeps never pays for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use once_cell::sync::OnceCell;

use super::eventfd::EventFd;
use crate::sync::atomic::{fence, AtomicBool, Ordering::SeqCst};

/// One sleeper's bell.
#[derive(Debug, Default)]
pub(crate) struct Bell(OnceCell<EventFd>);

impl Bell {
    /// A descriptor that is readable from the next ring on. What was changed before it cannot be missed if it is looked
    /// at after this call.
    pub(crate) fn listen(&self) -> io::Result<BorrowedFd<'_>> {
        let event = self.0.get_or_try_init(EventFd::new)?;
        // Pairs with the fence in `ring`: either the ringer sees the eventfd, or this thread sees the change.
        fence(SeqCst);
        Ok(event.as_fd())
    }

    /// To be called after the change. Takes no lock and no memory, so a signal handler may call it.
    pub(crate) fn ring(&self) {
        fence(SeqCst);
        if let Some(event) = self.0.get() {
            event.signal();
        }
    }

    /// Makes it quiet again, before looking at what changed.
    pub(crate) fn hush(&self) {
        if let Some(event) = self.0.get() {
            event.clear();
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
