//! Where the answers of asynchronous dials wait to be fetched, and the descriptor that tells of
//! them.
//!
//! The descriptor is readable exactly while an answer waits: both change under one lock. It belongs
//! to one process; a forked child has an empty queue with a descriptor of its own.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::handle::{HandleKind, Kept, Owned, Table};
use crate::pool::conn::Conn;
use crate::pool::runtime::run_where_it_may;
use crate::pool::runtime::runtime;
use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::sync::{Arc, Mutex};
use crate::sys::fork::per_process::PerProcess;
use crate::sys::memory;
use crate::sys::wake::{Wake, Waker};
use crate::values::error::{Error, Result};

/// A connection for the program: its descriptor and its handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LentConn {
    pub(crate) fd: RawFd,
    pub(crate) handle: usize,
}

/// The answer of one dial.
#[derive(Debug)]
pub(crate) struct Completion {
    /// What the program gave along (an address, never looked at).
    pub(crate) token: usize,
    pub(crate) result: Result<LentConn>,
}

#[derive(Debug, Default)]
struct Inbox {
    /// With room for all that are expected.
    completions: VecDeque<Completion>,
    /// `None` once the queue is closed.
    waker: Option<Waker>,
}

/// The queue behind a `vcp_queue`.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Guards itself alone. Signaling an eventfd never waits.
    inbox: Mutex<Inbox>,
    /// Recipients that may answer. Not under the lock, which a forked child must not take.
    expected: AtomicUsize,
}

/// A queue in its slot of the handle table.
#[derive(Debug)]
pub(crate) struct QueueHandle(PerProcess<Arc<Queue>>);

impl Kept for QueueHandle {
    fn table() -> &'static Table<Self> {
        static QUEUES: Table<QueueHandle> = Table::new(HandleKind::Queue);
        &QUEUES
    }
}

impl QueueHandle {
    pub(crate) fn new(queue: Queue) -> Self {
        Self(PerProcess::of(Arc::new(queue)))
    }

    /// This process's queue.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        self.0.get_or_make(|_| Arc::new(Queue::new()), drop)
    }
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            inbox: Mutex::new(Inbox {
                completions: VecDeque::new(),
                waker: Some(Waker::default()),
            }),
            expected: AtomicUsize::new(0),
        }
    }

    /// Readable while something waits; `None`: the queue is closed.
    pub(crate) fn fd(&self) -> io::Result<Option<RawFd>> {
        let inbox = self.inbox.lock();
        let Some(waker) = &inbox.waker else {
            return Ok(None);
        };
        let fd = waker.arm()?.as_raw_fd();
        if !inbox.completions.is_empty() {
            waker.wake();
        }
        Ok(Some(fd))
    }

    /// One who will answer a dial. Its answer has room; fails if there is no memory for that.
    pub(crate) fn expect(self: Arc<Self>, token: usize, is_queued: bool) -> Result<Recipient> {
        let mut inbox = self.inbox.lock();
        let expected = self.expected.fetch_add(1, Relaxed) + 1;
        let room = memory::or_none(|| inbox.completions.try_reserve(expected));
        drop(inbox);
        let recipient = Recipient {
            queue: self,
            token,
            is_queued,
        };
        room.map(|()| recipient).ok_or_else(Error::no_memory)
    }

    /// The oldest answer.
    pub(crate) fn next(&self) -> Option<Completion> {
        let mut inbox = self.inbox.lock();
        let next = inbox.completions.pop_front();
        if let (true, Some(waker)) = (inbox.completions.is_empty(), &inbox.waker) {
            waker.clear();
        }
        next
    }

    fn push(&self, token: usize, result: Result<Owned<Conn>>) {
        let mut inbox = self.inbox.lock();
        if inbox.waker.is_none() {
            drop(inbox);
            if let Ok(conn) = result {
                // on_release and a destructor are code of the program, and this may be the engine.
                run_where_it_may(Box::new(move || conn.pool().clone().give_back(conn)));
            }
            return;
        }
        let result = result.map(|conn| LentConn {
            fd: conn.lent_fd(),
            handle: conn.lend_out(),
        });
        inbox.completions.push_back(Completion { token, result });
        if let (1, Some(waker)) = (inbox.completions.len(), &inbox.waker) {
            waker.wake();
        }
    }

    /// Dials in flight for it are canceled, and connections that nobody fetched are given back.
    pub(crate) fn close(self: &Arc<Self>) {
        let left = std::mem::take(&mut *self.inbox.lock());
        runtime().engines.abandon(Arc::as_ptr(self) as usize);
        for lent in left
            .completions
            .into_iter()
            .filter_map(|one| one.result.ok())
        {
            if let Ok(conn) = Conn::table().take_back(lent.handle, |_| {}) {
                let pool = conn.pool().clone();
                pool.give_back(conn);
            }
        }
    }
}

/// The queue that an asynchronous dial answers to.
#[derive(Debug)]
pub(crate) struct Recipient {
    queue: Arc<Queue>,
    token: usize,
    /// What could be answered at once goes through the queue too.
    pub(crate) is_queued: bool,
}

impl Clone for Recipient {
    fn clone(&self) -> Self {
        self.queue.expected.fetch_add(1, Relaxed);
        Self {
            queue: self.queue.clone(),
            ..*self
        }
    }
}

impl Drop for Recipient {
    fn drop(&mut self) {
        self.queue.expected.fetch_sub(1, Relaxed);
    }
}

impl Recipient {
    pub(crate) fn answer(&self, result: Result<Owned<Conn>>) {
        self.queue.push(self.token, result);
    }

    /// Its queue has been freed.
    pub(crate) fn is_freed(&self) -> bool {
        self.queue.inbox.lock().waker.is_none()
    }

    pub(crate) fn is_of(&self, queue: usize) -> bool {
        Arc::as_ptr(&self.queue) as usize == queue
    }
}
