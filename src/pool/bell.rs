//! Wakes a thread that sleeps in poll(2) inside the library.
//!
//! Whoever changes something rings; whoever is about to sleep listens first, then looks whether anything has changed
//! already. The eventfd is made when somebody listens, so work that never sleeps never pays for it.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};

use once_cell::sync::OnceCell;

use crate::sync::atomic::{fence, Ordering::SeqCst};
use crate::sys::{self, eventfd::EventFd};
use crate::values::error::{Error, Result, Status};

/// One sleeper's bell.
#[derive(Debug, Default)]
pub(crate) struct Bell(OnceCell<EventFd>);

impl Bell {
    /// A descriptor that is readable from the next ring on. What was changed before it cannot be missed if it is looked
    /// at after this call.
    pub(crate) fn listen(&self) -> Result<BorrowedFd<'_>> {
        let event = self.0.get_or_try_init(EventFd::new).map_err(|error| {
            let errno = sys::errno(&error);
            Error::new(
                Status::System,
                format!("eventfd: {}", sys::errno_text(errno)),
            )
            .numbered(errno)
        })?;
        // Pairs with the fence in `ring`: either the ringer sees the eventfd, or this thread sees the change.
        fence(SeqCst);
        Ok(event.as_fd())
    }

    /// To be called after the change.
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
