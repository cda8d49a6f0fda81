//! Who asked for an asynchronous dial: answered once, or not at all when the queue for the answer has been freed.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::background::queue::Asker;
use crate::pool::conn::Conn;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::Mutex;
use crate::values::error::Result;

/// See the module.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Taken by the one who answers. Guards itself alone.
    asker: Mutex<Option<Asker>>,
    is_abandoned: AtomicBool,
}

impl Claim {
    pub(crate) fn of(asker: &Asker) -> Self {
        Self {
            asker: Mutex::new(Some(asker.clone())),
            is_abandoned: AtomicBool::new(false),
        }
    }

    pub(crate) fn answer(&self, result: Result<Owned<Conn>>) {
        let asker = self.asker.lock().take();
        if let Some(asker) = asker {
            asker.answer(result);
        }
    }

    /// Somebody waits for the answer.
    pub(crate) fn is_open(&self) -> bool {
        self.asker.lock().is_some()
    }

    /// Nobody wants the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(SeqCst)
    }

    /// False if it is another queue's, or has been answered.
    pub(crate) fn abandon_if_of(&self, queue: usize) -> bool {
        self.abandon_if(|asker| asker.is_of(queue))
    }

    /// The same where the queue was freed before the dial could be found.
    pub(crate) fn abandon_if_void(&self) -> bool {
        self.abandon_if(Asker::is_void)
    }

    fn abandon_if(&self, is_meant: impl FnOnce(&Asker) -> bool) -> bool {
        let is_meant = self.asker.lock().as_ref().is_some_and(is_meant);
        if is_meant {
            self.is_abandoned.store(true, SeqCst);
        }
        is_meant
    }
}
