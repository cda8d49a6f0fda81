//! The helper threads of a process, on which the library calls the program: at most 64 callbacks
//! run on them at once, whatever their kind.
//!
//! A callback that hangs holds its thread. So every kind leaves some threads to the others: a dial
//! whose login hangs does not keep the program from hearing of events, and dials ahead of demand do
//! not keep threads from dials that a caller waits for.
#![forbid(unsafe_code)]

use std::io;

use super::{Job, Lane, ThreadPool};
use crate::sync::Arc;

/// The header's "at most 64 callbacks at once".
const MOST_CALLBACKS: usize = 64;

/// The kinds of callbacks, the most urgent first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HelperLane {
    /// What the engine has brought about: on_event, free_data, free_user, and on_release of a
    /// connection whose completion queue is gone.
    Notify,
    /// The resolve callback.
    Resolve,
    /// Callbacks and hooks of dials that a caller waits for.
    Dial,
    /// on_release in the background, which a waiter may wait for.
    Release,
    /// on_idle.
    Check,
    /// Those of dials that no caller waits for (min_idle_per_address).
    Refill,
}

/// 8 + 4 + 24 + 4 + 2 + 4 threads are kept, and 18 go to the kind that comes first.
static LANES: [Lane; 6] = [
    Lane { kept: 8, most: 64 },
    Lane { kept: 4, most: 64 },
    Lane { kept: 24, most: 64 },
    Lane { kept: 4, most: 64 },
    // The header's "a process asks about at most 16 connections at a time".
    Lane { kept: 2, most: 16 },
    // Enough for many handshakes with servers that answer; where they do not, there is no hurry.
    Lane { kept: 4, most: 16 },
];

/// The helper threads.
#[derive(Clone, Debug)]
pub(crate) struct Helpers(Arc<ThreadPool>);

impl Helpers {
    pub(crate) fn new() -> Self {
        Self(ThreadPool::new(c"vcp-helper", MOST_CALLBACKS, &LANES))
    }

    /// Runs `job` when there is a thread for it. Gives it back where no thread can be had.
    pub(crate) fn submit(&self, lane: HelperLane, job: Job) -> Result<(), (Job, io::Error)> {
        self.0.submit(lane as usize, job)
    }

    /// Runs `job` on the lane for what must not be lost. A thread is there for it, because the
    /// engine, whose work it is, has started one (`start_standby`).
    pub(crate) fn notify(&self, job: Job) {
        self.0.enqueue(HelperLane::Notify as usize, job);
    }

    /// Sees to it that a thread is there for `notify`, even when the system refuses threads.
    pub(crate) fn start_standby(&self) -> io::Result<()> {
        self.0.start_standby()
    }

    /// The engine that has started it has ended.
    pub(crate) fn end_standby(&self) {
        self.0.end_standby();
    }

    /// The threads, for one who has a queue of his own before them.
    pub(crate) fn threads(&self) -> &Arc<ThreadPool> {
        &self.0
    }

    /// Resolve callbacks that run at once at the most.
    pub(crate) fn most_resolving() -> usize {
        let others = [
            HelperLane::Notify,
            HelperLane::Dial,
            HelperLane::Release,
            HelperLane::Check,
            HelperLane::Refill,
        ];
        MOST_CALLBACKS
            - others
                .iter()
                .map(|&lane| LANES[lane as usize].kept)
                .sum::<usize>()
    }
}
