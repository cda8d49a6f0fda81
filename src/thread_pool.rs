//! Threads for work that may block: destructors and callbacks of the program, the resolver.
//!
//! They start when there is work and nobody free, and end after a second without any.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};
use crate::sys::{fork, thread};

/// As many blocking jobs run at once.
pub(crate) const MOST_THREADS: usize = 64;
/// Well below the 5 s within which the header promises them gone.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// The default of std::thread: callbacks of the program (a TLS handshake, say) run on it.
const STACK_SIZE: usize = 2 << 20;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// There is a pool; without one nobody waits for work.
    is_wanted: bool,
    handles: Vec<JoinHandle<()>>,
    /// Who waits in `not_wanted` for threads to end.
    joiners: usize,
    /// Threads that ended while somebody did, to be joined.
    ended: Vec<JoinHandle<()>>,
}

impl Work {
    /// Called by a thread that ends.
    fn end_this_thread(&mut self) {
        self.threads -= 1;
        let own = std::thread::current().id();
        let at = self
            .handles
            .iter()
            .position(|handle| handle.thread().id() == own);
        let handle = at.map(|at| self.handles.swap_remove(at));
        if self.joiners > 0 {
            self.ended.extend(handle);
        }
        if self.threads == 0 {
            self.queue = VecDeque::new();
            self.handles = Vec::new();
        }
    }
}

/// A crew of helper threads.
pub(crate) struct Helpers {
    name: &'static str,
    /// So many threads.
    most: usize,
    /// Guards the queue and the threads.
    work: Mutex<Work>,
    more: Condvar,
    /// One of the idle threads has ended.
    fewer: Condvar,
}

impl fmt::Debug for Helpers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helpers").finish_non_exhaustive()
    }
}

impl Helpers {
    pub(crate) fn new(name: &'static str, most: usize) -> Self {
        Self {
            name,
            most,
            work: Mutex::new(Work::default()),
            more: Condvar::new(),
            fewer: Condvar::new(),
        }
    }

    /// Runs `job` on a helper thread, in the order of the calls as long as one thread is enough.
    /// When no thread can be started and none is there, it runs here: late work is worse than slow
    /// work.
    pub(crate) fn run(&'static self, job: Job) {
        if let Err((job, _)) = self.try_run(job) {
            job();
        }
    }

    /// The same, but gives the job back when there is no thread for it.
    pub(crate) fn try_run(&'static self, job: Job) -> Result<(), (Job, io::Error)> {
        let mut work = self.work.lock();
        if work.idle > work.queue.len() || work.threads >= self.most {
            work.queue.push_back(job);
            drop(work);
            self.more.notify_one();
            return Ok(());
        }
        // Under the lock, so that the thread finds its own handle when it ends.
        match thread::spawn(self.name, STACK_SIZE, || self.work_until_idle()) {
            Ok(handle) => {
                work.threads += 1;
                work.handles.push(handle);
            }
            Err(error) if work.threads == 0 => return Err((job, error)),
            // Somebody will come to it.
            Err(_) => {}
        }
        work.queue.push_back(job);
        Ok(())
    }

    /// The first pool begins.
    pub(crate) fn wanted(&self) {
        self.work.lock().is_wanted = true;
    }

    /// The last pool has ended: threads without work end now. Those in a callback end when it
    /// returns.
    pub(crate) fn not_wanted(&self) {
        let mut work = self.work.lock();
        work.is_wanted = false;
        work.joiners += 1;
        self.more.notify_all();
        while work.idle > 0 && !work.is_wanted {
            work = self.fewer.wait(work);
        }
        work.joiners -= 1;
        let ended = std::mem::take(&mut work.ended);
        drop(work);
        for thread in ended {
            let _ = thread.join();
        }
    }

    fn work_until_idle(&self) {
        let own = fork::generation();
        let mut work = self.work.lock();
        loop {
            if let Some(job) = work.queue.pop_front() {
                drop(work);
                // A panic must not take the thread's count with it; what panicked is a bug, and
                // reported on stderr.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                if fork::has_come_back_in_a_child(own) {
                    // A callback has forked, and this is the child's only thread.
                    return;
                }
                work = self.work.lock();
                continue;
            }
            if work.is_wanted {
                work.idle += 1;
                work = self.more.wait_for(work, IDLE_FOR);
                work.idle -= 1;
                if !work.queue.is_empty() {
                    continue;
                }
            }
            work.end_this_thread();
            drop(work);
            self.fewer.notify_all();
            return;
        }
    }
}
