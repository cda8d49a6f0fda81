//! Threads for work that may block: callbacks and destructors of the program, getaddrinfo(3).
//!
//! A thread starts when there is a job and no thread is free, and ends after a second without one.
//! `lanes` says which job runs next.
#![forbid(unsafe_code)]

pub(crate) mod helpers;
mod lanes;

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

pub(crate) use self::lanes::Lane;
use self::lanes::LaneQueues;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};
use crate::sys::thread::{self, JoinHandle};
use crate::sys::{clock, fork};

/// Well below the 5 s within which the header promises them gone.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// As std::thread has it: callbacks of the program (a TLS handshake, say) run on it.
const STACK_SIZE: usize = 2 << 20;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

struct PoolState {
    jobs: LaneQueues<Job>,
    /// Threads at the most.
    most: usize,
    threads: usize,
    /// False once no pool is left: threads without work end.
    is_open: bool,
    /// While there are any, one thread stays for the first lane, even without work.
    standby_holders: usize,
    handles: Vec<JoinHandle>,
    /// Callers of `close` that wait for threads to end.
    joiners: usize,
    /// Threads that ended meanwhile, to be joined.
    ended: Vec<JoinHandle>,
}

impl PoolState {
    /// Threads that run no job.
    fn free(&self) -> usize {
        self.threads - self.jobs.running()
    }

    fn has_standby(&self) -> bool {
        self.standby_holders > 0
    }

    /// The caller is the last free thread, which stays even without work.
    fn is_last_free(&self) -> bool {
        self.has_standby() && self.free() == 1
    }

    /// The caller stays for the first lane. With all threads there are, what the lanes keep is
    /// enough.
    fn is_for_first(&self) -> bool {
        self.is_last_free() && self.threads < self.most
    }

    fn lacks_thread(&self) -> bool {
        let others = self.jobs.all_startable() - self.jobs.startable(0);
        let free_for_others = self.free().saturating_sub(usize::from(self.has_standby()));
        self.jobs.all_startable() > self.free() || others > free_for_others
    }

    /// A job is there that a free thread may take.
    fn has_job(&self) -> bool {
        let startable = if self.is_for_first() {
            self.jobs.startable(0)
        } else {
            self.jobs.all_startable()
        };
        startable > 0
    }

    /// Called by a thread that ends.
    fn end_this_thread(&mut self) {
        self.threads -= 1;
        let at = self.handles.iter().position(JoinHandle::is_this_thread);
        let handle = at.map(|at| self.handles.swap_remove(at));
        if self.joiners > 0 {
            self.ended.extend(handle);
        }
        if self.threads == 0 {
            self.jobs.shrink();
            self.handles = Vec::new();
        }
    }
}

/// A bounded number of threads that run jobs.
pub(crate) struct ThreadPool {
    /// As ps(1) shows its threads.
    name: &'static CStr,
    /// Guards the jobs and the threads.
    state: Mutex<PoolState>,
    /// There is a job, or an end.
    has_news: Condvar,
    /// A thread has ended, or begun a job.
    is_less_free: Condvar,
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").finish_non_exhaustive()
    }
}

impl ThreadPool {
    /// Without any thread yet. `most` threads at once, whose jobs stand in `lanes`.
    pub(crate) fn new(name: &'static CStr, most: usize, lanes: &'static [Lane]) -> Arc<Self> {
        Arc::new(Self {
            name,
            state: Mutex::new(PoolState {
                jobs: LaneQueues::new(lanes, most),
                most,
                threads: 0,
                is_open: false,
                standby_holders: 0,
                handles: Vec::new(),
                joiners: 0,
                ended: Vec::new(),
            }),
            has_news: Condvar::new(),
            is_less_free: Condvar::new(),
        })
    }

    /// Runs `job` on a thread, when its turn in that lane has come. Gives it back if there is no
    /// thread that could ever run it, and none can be started.
    pub(crate) fn submit(self: &Arc<Self>, lane: usize, job: Job) -> Result<(), (Job, io::Error)> {
        let mut state = self.state.lock();
        let error = self.push(&mut state, lane, job);
        let threads_for_it = state.threads - usize::from(state.has_standby() && lane > 0);
        match error {
            // Else it waits until one of them is free.
            Some(error) if threads_for_it == 0 => match state.jobs.take_back(lane) {
                Some(job) => Err((job, error)),
                None => unreachable!("it was pushed under this lock"),
            },
            _ => Ok(()),
        }
    }

    /// Runs `job` on a thread, when there is one and its turn in that lane has come.
    pub(crate) fn enqueue(self: &Arc<Self>, lane: usize, job: Job) {
        self.push(&mut self.state.lock(), lane, job);
    }

    /// Why there is no thread for it, if there is none.
    fn push(self: &Arc<Self>, state: &mut PoolState, lane: usize, job: Job) -> Option<io::Error> {
        state.jobs.push(lane, job);
        self.has_news.notify_one();
        if state.lacks_thread() && state.threads < state.most {
            return self.start_thread(state).err();
        }
        None
    }

    /// Sees to it that from here on one thread is always there for jobs of the first lane, until
    /// `end_standby`: such a job can be submitted when the system refuses threads.
    pub(crate) fn start_standby(self: &Arc<Self>) -> io::Result<()> {
        self.add_standby_holder(&mut self.state.lock())
    }

    fn add_standby_holder(self: &Arc<Self>, state: &mut PoolState) -> io::Result<()> {
        state.standby_holders += 1;
        // A free thread may be meant for a job of another lane, which it has not begun.
        let is_short = state.free() == 0 || state.lacks_thread();
        if is_short && state.threads < state.most {
            self.start_thread(state)
                .inspect_err(|_| state.standby_holders -= 1)?;
        }
        Ok(())
    }

    /// One who has started a standby needs it no more.
    pub(crate) fn end_standby(&self) {
        self.state.lock().standby_holders -= 1;
        self.has_news.notify_all();
    }

    /// Under the lock, so that the thread finds its own handle when it ends.
    fn start_thread(self: &Arc<Self>, state: &mut PoolState) -> io::Result<()> {
        let pool = self.clone();
        let handle = thread::spawn(self.name, STACK_SIZE, move || pool.run_jobs())?;
        state.threads += 1;
        state.handles.push(handle);
        Ok(())
    }

    /// The first pool of connections begins.
    pub(crate) fn open(&self) {
        self.state.lock().is_open = true;
    }

    /// The last pool of connections has ended: threads without work have ended too when this
    /// returns, but for the standby, where it is needed still. Those in a callback end when it
    /// returns.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_open = false;
        state.joiners += 1;
        self.has_news.notify_all();
        while state.free() > usize::from(state.has_standby()) && !state.is_open {
            state = self.is_less_free.wait(state);
        }
        state.joiners -= 1;
        let ended = std::mem::take(&mut state.ended);
        drop(state);
        ended.into_iter().for_each(JoinHandle::join);
    }

    fn run_jobs(self: &Arc<Self>) {
        let own = fork::epoch();
        let mut state = self.state.lock();
        loop {
            let for_first = state.is_for_first();
            if let Some((lane, job)) = state.jobs.start_next(for_first) {
                let is_awaited = state.joiners > 0;
                drop(state);
                if is_awaited {
                    self.is_less_free.notify_all();
                }
                // A panic must not take the thread's count with it. It is a bug, and the panic hook
                // has reported it on stderr.
                let _ = catch_unwind(AssertUnwindSafe(job));
                if fork::enter_if_forked(own) {
                    // A callback has forked, and this is the child's only thread.
                    return;
                }
                state = self.state.lock();
                state.jobs.finish(lane);
                continue;
            }
            if state.lacks_thread() && state.threads < state.most {
                // A job has got its turn, and this thread stays for the first lane. If no thread
                // can be started, the job waits until another one is free.
                let _ = self.start_thread(&mut state);
            }
            let (after, has_job) = self.wait_for_job(state);
            state = after;
            if !has_job {
                state.end_this_thread();
                drop(state);
                self.is_less_free.notify_all();
                return;
            }
        }
    }

    /// False: there was none for so long that this thread ends.
    fn wait_for_job<'a>(
        &'a self,
        mut state: MutexGuard<'a, PoolState>,
    ) -> (MutexGuard<'a, PoolState>, bool) {
        let idle_until = clock::now().after(IDLE_FOR);
        while (state.is_open || state.is_last_free()) && !state.has_job() {
            let left = idle_until.since(clock::now());
            if state.is_last_free() {
                state = self.has_news.wait(state);
            } else if left.is_zero() {
                break;
            } else {
                state = self.has_news.wait_for(state, left);
            }
        }
        let has_job = state.has_job();
        (state, has_job)
    }
}

#[cfg(test)]
mod tests;
