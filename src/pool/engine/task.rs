//! A task of the engine: a dial that no thread sleeps on, or a hook that must end in time.
//!
//! A task is polled when its socket, its token, its time or another thread wakes it; by one thread
//! at a time:
//!
//! | a task is | on | becomes |
//! |---|---|---|
//! | Idle | `wake` | Ready: on the engine's list |
//! | Ready, Idle | `poll` | Polling |
//! | Polling | `wake` | PollAgain |
//! | Polling | there is nothing to do before some time | Idle, with a timer |
//! | PollAgain | the poll ends | Polling, from the beginning |
//! | Polling, PollAgain | its work is done | Done, and off every list |
//!
//! The engine polls what is ready, and asks for a helper thread where code of the program has to
//! run.
#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

use super::client::{Client, Handlers};
use super::poller::Poller;
use super::schedule::{tagged, Schedule, TASK};
use crate::dial::race::connecting_socket::Watcher;
use crate::sync::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{AcqRel, Acquire, SeqCst},
};
use crate::sync::Arc;
use crate::sys::wake::{CancelToken, Wake};
use crate::sys::{clock, fork};
use crate::thread_pool::helpers::HelperLane;
use crate::thread_pool::Job;
use crate::values::clock::{Deadline, Time};
use crate::values::error::Error;

/// When no thread can be had for a task that runs code of the program, the task asks again after
/// so long.
const NO_THREAD_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// What a task is for.
pub(crate) trait Pollable: Debug + Send + Sync {
    /// Does what there is to do now; never called twice at once. A job that it leaves is run by the
    /// thread that polls, when the task may be polled by others again.
    fn poll(&self, task: &Arc<Task>, thread: Thread, job: &mut Option<Job>) -> Next;
    /// A caller waits for what it does.
    fn is_awaited(&self) -> bool;
    /// The last poll has panicked, and there will be no other.
    fn fail(&self, error: Error);
    fn client(&self) -> &dyn Client;
    /// The queue at that address is freed. True if the answer was meant for it: then no answer is
    /// wanted any more.
    fn abandon(&self, queue: usize) -> bool;
}

/// The thread that polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// Nothing may hold it up: code of the program must not run.
    Engine,
    /// One that may block.
    Other,
}

/// When to poll next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    At(Deadline),
    /// As soon as there is a thread that may block, and on the engine at that time.
    OnThread(Deadline),
    Done,
}

const IDLE: u8 = 0;
const READY: u8 = 1;
const POLLING: u8 = 2;
const POLL_AGAIN: u8 = 3;
const DONE: u8 = 4;

/// What an engine and its tasks share.
#[derive(Debug)]
pub(crate) struct Reactor {
    pub(crate) poller: Poller,
    schedule: Schedule<Arc<Task>>,
    handlers: Handlers,
    /// The engine cannot go on: its descriptors were closed, or it has panicked.
    is_broken: AtomicBool,
    /// No client is left: the engine ends with its last task.
    is_ending: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Task {
    number: u64,
    reactor: Arc<Reactor>,
    state: AtomicU8,
    /// A helper thread will come to it.
    is_queued: AtomicBool,
    work: Box<dyn Pollable>,
}

impl Task {
    /// A task in the hands of its maker, who calls `start`. What wakes it before is not lost.
    pub(crate) fn new(reactor: &Arc<Reactor>, work: impl Pollable + 'static) -> Arc<Self> {
        Arc::new(Self {
            number: reactor.schedule.next_number(),
            reactor: reactor.clone(),
            state: AtomicU8::new(POLLING),
            is_queued: AtomicBool::new(false),
            work: Box::new(work),
        })
    }

    /// The engine cannot go on, and nothing will wake the task.
    pub(crate) fn is_broken(&self) -> bool {
        self.reactor.is_broken()
    }

    /// The token wakes the task too.
    pub(crate) fn add_token(&self, token: &Arc<CancelToken>) -> io::Result<()> {
        let Reactor {
            schedule, poller, ..
        } = &*self.reactor;
        schedule.add_token(self.number, token, poller)?;
        // It may have fired, and woken the others, before this one was listed.
        if token.has_fired() {
            self.wake();
        }
        Ok(())
    }

    /// Its maker has done his part: the engine polls it from `until` on, or when it is woken.
    pub(crate) fn start(self: &Arc<Self>, until: Deadline) {
        let schedule = &self.reactor.schedule;
        let until = until.time().unwrap_or(Time::NEVER);
        let is_ready = self.state.load(Acquire) == POLL_AGAIN;
        if is_ready {
            self.state.store(READY, SeqCst);
        }
        schedule.insert(self.number, self.clone(), until, is_ready);
        // A ready one is out of this thread's hands: the engine may be polling it.
        let rest = if is_ready {
            Ok(READY)
        } else {
            self.state.compare_exchange(POLLING, IDLE, AcqRel, Acquire)
        };
        if rest == Err(POLL_AGAIN) {
            self.state.store(IDLE, SeqCst);
            self.wake();
        }
        let by = if is_ready { Time::default() } else { until };
        self.reactor.poller.wake_by(by);
        // Whoever closed the pool meanwhile, or broke the engine, may have been too early to see
        // it on the list.
        if self.work.client().is_closed() || self.reactor.is_broken() {
            self.poll();
        }
    }

    /// Polls it in this thread, unless another one does.
    pub(crate) fn poll(self: &Arc<Self>) {
        self.poll_as(Thread::Other);
    }

    /// Polls it on the engine's thread. From before the first change to after the last one: a close
    /// that finds it being polled leaves its end to this thread.
    fn poll_on_engine(self: &Arc<Self>) {
        let client = self.work.client();
        client.before_end(&mut || self.poll_as(Thread::Engine));
    }

    fn poll_as(self: &Arc<Self>, thread: Thread) {
        let begins = |state| match state {
            IDLE | READY => Some(POLLING),
            POLLING => Some(POLL_AGAIN),
            _ => None,
        };
        if matches!(
            self.state.fetch_update(AcqRel, Acquire, begins),
            Ok(IDLE | READY)
        ) {
            let mut job = None;
            while self.poll_once(thread, &mut job) {}
            if let Some(job) = job {
                job();
            }
        }
    }

    /// False once it is idle or done.
    fn poll_once(self: &Arc<Self>, thread: Thread, job: &mut Option<Job>) -> bool {
        let before = fork::epoch();
        let polled = catch_unwind(AssertUnwindSafe(|| self.work.poll(self, thread, job)));
        if fork::epoch() != before {
            // A callback has forked, and this is the child: the task and its list are its parent's.
            if let Err(came_back) = polled {
                resume_unwind(came_back);
            }
            return false;
        }
        let Reactor {
            schedule, poller, ..
        } = &*self.reactor;
        let until = match polled.unwrap_or_else(|panic| self.fail(&*panic)) {
            Next::Done => {
                self.state.store(DONE, SeqCst);
                schedule.remove(self.number, poller);
                if self.reactor.is_ending() {
                    poller.wake();
                }
                return false;
            }
            Next::At(until) => until,
            Next::OnThread(until) => until.min(self.ask_for_thread()),
        };
        let until = until.time().unwrap_or(Time::NEVER);
        schedule.set_timer(self.number, until);
        let rest = self.state.compare_exchange(POLLING, IDLE, AcqRel, Acquire);
        if rest.is_err() {
            self.state.store(POLLING, SeqCst);
            return true;
        }
        poller.wake_by(until);
        false
    }

    /// A bug, contained: who waits is told, and the task is polled no more.
    fn fail(&self, panic: &(dyn Any + Send)) -> Next {
        self.work.fail(Error::of_panic(panic));
        Next::Done
    }

    /// When to ask again.
    fn ask_for_thread(self: &Arc<Self>) -> Deadline {
        if self.is_queued.swap(true, AcqRel) {
            return Deadline::NEVER;
        }
        // It may end before a helper comes to it, and holds its pool.
        let task = Arc::downgrade(self);
        let job = move || {
            let Some(task) = task.upgrade() else {
                return;
            };
            task.is_queued.store(false, SeqCst);
            task.work.client().within_gate(&mut || task.poll());
        };
        let handlers = &self.reactor.handlers;
        let lane = if self.work.is_awaited() {
            HelperLane::Dial
        } else {
            HelperLane::Refill
        };
        match handlers.helpers.submit(lane, Box::new(job)) {
            Ok(()) => Deadline::NEVER,
            Err(_) => {
                self.is_queued.store(false, SeqCst);
                Deadline::at(clock::now().after(NO_THREAD_PAUSE))
            }
        }
    }
}

impl Wake for Task {
    fn wake(&self) {
        let news = |state| match state {
            IDLE => Some(READY),
            POLLING => Some(POLL_AGAIN),
            _ => None,
        };
        if self.state.fetch_update(AcqRel, Acquire, news) == Ok(IDLE) {
            self.reactor.schedule.make_ready(self.number);
            self.reactor.poller.wake_by(Time::default());
        }
    }
}

impl Watcher for Task {
    fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let number = tagged(self.number, TASK);
        self.reactor.poller.watch_writable(fd, number)
    }

    fn unwatch(&self, number: RawFd) {
        self.reactor.poller.unwatch_number(number);
    }
}

impl Reactor {
    pub(crate) fn new(handlers: Handlers) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            schedule: Schedule::new(),
            handlers,
            is_broken: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        })
    }

    /// The engine is over: it has no work for helper threads any more.
    pub(crate) fn end_standby(&self) {
        self.handlers.helpers.end_standby();
    }

    /// No client is left: the engine ends with its last task.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, SeqCst);
        self.poller.wake();
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(SeqCst)
    }

    /// Nothing is left to do for the engine, and nothing will be.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_ending() && self.schedule.is_empty()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(SeqCst)
    }

    pub(crate) fn next_deadline(&self) -> Time {
        self.schedule.next_deadline()
    }

    /// epoll has reported events for the registration of that number.
    pub(crate) fn on_event(&self, number: u64, events: u32) {
        if !self.schedule.show_by_event(number, |task| task.wake()) {
            (self.handlers.on_conn_event)(&self.poller, number, events);
        }
    }

    /// Polls the tasks that are ready, and those whose time has come.
    pub(crate) fn poll_tasks(&self, now: Time) {
        let due = self.schedule.take_due(now);
        due.iter().for_each(|task| task.wake());
        let ready = self.schedule.take_ready();
        ready.iter().for_each(Task::poll_on_engine);
    }

    /// Sees to it that another task may be started. False: there is no memory for it.
    pub(crate) fn try_reserve(&self) -> bool {
        self.schedule.try_reserve()
    }

    fn each_of(&self, client: &dyn Client, show: impl Fn(&Arc<Task>)) {
        self.schedule.each(|task| {
            if std::ptr::addr_eq(task.work.client(), client) {
                show(task);
            }
        });
    }

    /// Polls the client's tasks in this thread, unless another one does: with a closed client they
    /// end.
    pub(crate) fn poll_tasks_of(&self, client: &dyn Client) {
        self.each_of(client, Task::poll);
    }

    /// Wakes the client's tasks, from a thread that must not be held up.
    pub(crate) fn wake_tasks_of(&self, client: &dyn Client) {
        self.each_of(client, |task| task.wake());
    }

    /// The queue at that address is freed: its dials end here, unless another thread polls them.
    pub(crate) fn abandon(&self, queue: usize) {
        self.schedule.each(|task| {
            if task.work.abandon(queue) {
                task.poll();
            }
        });
    }

    /// The engine cannot go on: every task ends.
    pub(crate) fn break_down(&self) {
        self.is_broken.store(true, SeqCst);
        self.schedule.each(Task::poll_on_engine);
    }
}
