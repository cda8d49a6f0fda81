//! Threads for work that may block and must not block the engine: destructors and callbacks of the program.
//!
//! They start when there is work and nobody free, and end after a second without any.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};
use crate::sys::thread;

/// As many blocking jobs run at once.
const MOST_THREADS: usize = 64;
/// Well below the 5 s within which the header promises them gone.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// The default of std::thread: callbacks of the program (a TLS handshake, say) run on it.
const STACK_SIZE: usize = 2 << 20;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// The helper threads of the process.
pub(crate) struct Helpers {
    /// Guards the queue and the thread counts.
    work: Mutex<Work>,
    more: Condvar,
}

impl fmt::Debug for Helpers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helpers").finish_non_exhaustive()
    }
}

impl Helpers {
    pub(crate) fn new() -> Self {
        Self {
            work: Mutex::new(Work::default()),
            more: Condvar::new(),
        }
    }

    /// Runs `job` on a helper thread, in the order of the calls as long as one thread is enough. When no thread can be
    /// started and none is there, it runs here: late work is worse than slow work.
    pub(crate) fn run(&'static self, job: Job) {
        let mut work = self.work.lock();
        work.queue.push_back(job);
        if work.idle >= work.queue.len() || work.threads >= MOST_THREADS {
            drop(work);
            self.more.notify_one();
            return;
        }
        work.threads += 1;
        drop(work);
        if thread::spawn("vcp-helper", STACK_SIZE, || self.work_until_idle()).is_ok() {
            return;
        }
        let mut work = self.work.lock();
        work.threads -= 1;
        let job = if work.threads == 0 {
            work.queue.pop_back()
        } else {
            None
        };
        drop(work);
        if let Some(job) = job {
            job();
        }
    }

    fn work_until_idle(&self) {
        let mut work = self.work.lock();
        loop {
            if let Some(job) = work.queue.pop_front() {
                drop(work);
                // A panic must not take the thread's count with it; what panicked is a bug, and reported on stderr.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                work = self.work.lock();
                continue;
            }
            work.idle += 1;
            work = self.more.wait_for(work, IDLE_FOR);
            work.idle -= 1;
            if work.queue.is_empty() {
                work.threads -= 1;
                if work.threads == 0 {
                    work.queue = VecDeque::new();
                }
                return;
            }
        }
    }
}
