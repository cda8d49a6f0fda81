//! The answer of an asynchronous dial: given once, or not at all when the queue for it was freed.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::background::queue::Recipient;
use crate::pool::conn::Conn;
use crate::pool::Reply;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::Mutex;
use crate::values::error::Result;

/// An answer that goes to a queue.
#[derive(Debug)]
pub(crate) struct QueueReply {
    /// Taken by the thread that answers. Guards itself alone.
    recipient: Mutex<Option<Recipient>>,
    is_abandoned: AtomicBool,
}

impl QueueReply {
    pub(crate) fn to(recipient: &Recipient) -> Self {
        Self {
            recipient: Mutex::new(Some(recipient.clone())),
            is_abandoned: AtomicBool::new(false),
        }
    }

    fn abandon_if(&self, is_meant: impl FnOnce(&Recipient) -> bool) -> bool {
        let is_meant = self.recipient.lock().as_ref().is_some_and(is_meant);
        if is_meant {
            self.is_abandoned.store(true, SeqCst);
        }
        is_meant
    }
}

impl Reply for QueueReply {
    fn answer(&self, result: Result<Owned<Conn>>) {
        let recipient = self.recipient.lock().take();
        if let Some(recipient) = recipient {
            recipient.answer(result);
        }
    }

    fn is_pending(&self) -> bool {
        self.recipient.lock().is_some()
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(SeqCst)
    }

    fn abandon_if_for(&self, queue: usize) -> bool {
        self.abandon_if(|recipient| recipient.is_of(queue))
    }

    fn abandon_if_queue_freed(&self) -> bool {
        self.abandon_if(Recipient::is_freed)
    }
}
