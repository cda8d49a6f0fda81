//! What the engine has to look at beside connections: dials that nobody sleeps on, and hooks that must end in time.
//!
//! A task is looked at when its socket, its token or its time wakes it, or whoever has news for it; by one thread at a time:
//!
//! | a task is | on | becomes |
//! |---|---|---|
//! | Resting | `wake` | Ready: on the list of the engine, which looks at it, and asks for a helper where code of the program has to run |
//! | Ready, Resting | `look` | Looking |
//! | Looking | `wake` | LookAgain |
//! | Looking | it has nothing to do before some time | Resting, with a timer |
//! | LookAgain | the look ends | Looking, from the beginning |
//! | Looking, LookAgain | its work is done | Done, and off every list |
//!
//! Sockets and tokens are in the engine's own epoll, told from connections by their numbers.
#![forbid(unsafe_code)]

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

use crate::dial::race::connecting_socket::Watcher;
use crate::pool::engine::tokens::Tokens;
use crate::pool::engine::Engine;
use crate::pool::runtime::runtime;
use crate::pool::Pool;
use crate::sync::atomic::{
    AtomicBool, AtomicU64, AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};
use crate::sync::{Arc, Mutex};
use crate::sys::wake::{CancelToken, Wake};
use crate::sys::{clock, fork};
use crate::values::clock::{Deadline, Time};
use crate::values::error::Error;

/// A place's slot index has 24 bits, so these bits are free in the numbers of connections.
const TASK: u64 = 1 << 31;
const TOKEN: u64 = 3 << 30;
const LOW_BITS: u32 = 30;
const LOW: u64 = (1 << LOW_BITS) - 1;
/// When there is no thread for a task that runs code of the program, it is looked at again after so long.
const NO_THREAD_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// What epoll is told for number so and so.
fn tagged(number: u64, tag: u64) -> u64 {
    (number >> LOW_BITS) << 32 | tag | (number & LOW)
}

/// What a task is for.
pub(crate) trait Work: Debug + Send + Sync {
    /// Does what there is to do now; never called twice at once.
    fn look(&self, task: &Arc<Task>, thread: Thread) -> Next;
    /// Somebody waits for what it does.
    fn is_awaited(&self) -> bool;
    /// Never again: the last look has panicked.
    fn fail(&self, error: Error);
    fn pool(&self) -> &Arc<Pool>;
    /// From now on nobody wants it if its answer was meant for that queue (its address).
    fn abandon(&self, queue: usize) -> bool;
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// Nothing may hold it up: code of the program must not run.
    Engine,
    /// One that may block.
    Other,
}

/// When to look next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    At(Deadline),
    /// As soon as there is a thread that may block, and on the engine at that time.
    OnThread(Deadline),
    Done,
}

const RESTING: u8 = 0;
const READY: u8 = 1;
const LOOKING: u8 = 2;
const LOOK_AGAIN: u8 = 3;
const DONE: u8 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Task {
    number: u64,
    engine: Arc<Engine>,
    state: AtomicU8,
    /// A helper will come to it.
    is_queued: AtomicBool,
    work: Box<dyn Work>,
}

impl Task {
    /// In the hands of its maker, who calls `go_on`. What wakes it before is not lost.
    pub(crate) fn new(engine: &Arc<Engine>, work: impl Work + 'static) -> Arc<Self> {
        Arc::new(Self {
            number: engine.schedule().draw(),
            engine: engine.clone(),
            state: AtomicU8::new(LOOKING),
            is_queued: AtomicBool::new(false),
            work: Box::new(work),
        })
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.engine.schedule().is_broken()
    }

    /// From now on the token wakes it too.
    pub(crate) fn carry(&self, token: &Arc<CancelToken>) -> io::Result<()> {
        self.engine.schedule().carry(self, token)
    }

    pub(crate) fn work(&self) -> &dyn Work {
        &*self.work
    }

    /// Its maker has done his part: the rest is the engine's, from `until` on or as soon as there is news.
    pub(crate) fn go_on(self: &Arc<Self>, until: Deadline) {
        let schedule = self.engine.schedule();
        let until = until.time().unwrap_or(Time::NEVER);
        let is_ready = self.state.load(Acquire) == LOOK_AGAIN;
        if is_ready {
            self.state.store(READY, SeqCst);
        }
        schedule.enter(self, until, is_ready);
        // A ready one is out of this thread's hands: the engine may be looking at it.
        let rest = if is_ready {
            Ok(READY)
        } else {
            self.state
                .compare_exchange(LOOKING, RESTING, AcqRel, Acquire)
        };
        if rest == Err(LOOK_AGAIN) {
            self.state.store(RESTING, SeqCst);
            self.wake();
        }
        self.engine
            .wake_by(if is_ready { Time::default() } else { until });
        // Whoever closed the pool meanwhile, or found the engine broken, may have been too early to see it on the list.
        if self.work.pool().is_closed() || schedule.is_broken() {
            self.look();
        }
    }

    /// Looks at it in this thread, unless another one does.
    pub(crate) fn look(self: &Arc<Self>) {
        self.look_as(Thread::Other);
    }

    fn look_as(self: &Arc<Self>, thread: Thread) {
        let begins = |state| match state {
            RESTING | READY => Some(LOOKING),
            LOOKING => Some(LOOK_AGAIN),
            _ => None,
        };
        if matches!(
            self.state.fetch_update(AcqRel, Acquire, begins),
            Ok(RESTING | READY)
        ) {
            while self.looks_again(thread) {}
        }
    }

    /// False once it rests or is done.
    fn looks_again(self: &Arc<Self>, thread: Thread) -> bool {
        let before = fork::generation();
        let looked = catch_unwind(AssertUnwindSafe(|| self.work.look(self, thread)));
        if fork::generation() != before {
            // A callback has forked, and this is the child: the task and its list are its parent's.
            if let Err(came_back) = looked {
                resume_unwind(came_back);
            }
            return false;
        }
        let until = match looked.unwrap_or_else(|panic| self.fail(&*panic)) {
            Next::Done => {
                self.state.store(DONE, SeqCst);
                self.engine.schedule().leave(self.number);
                return false;
            }
            Next::At(until) => until,
            Next::OnThread(until) => until.min(self.ask_for_thread()),
        };
        let until = until.time().unwrap_or(Time::NEVER);
        self.engine.schedule().look_at(self.number, until);
        let rest = self
            .state
            .compare_exchange(LOOKING, RESTING, AcqRel, Acquire);
        if rest.is_err() {
            self.state.store(LOOKING, SeqCst);
            return true;
        }
        self.engine.wake_by(until);
        false
    }

    /// A bug, contained: whoever waits is told, and nobody looks at it any more.
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
            let pool = task.work.pool().clone();
            pool.within_gate(|| task.look());
        };
        let runtime = runtime();
        let crew = if self.work.is_awaited() {
            &runtime.dialers
        } else {
            &runtime.fillers
        };
        match crew.try_run(Box::new(job)) {
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
            RESTING => Some(READY),
            LOOKING => Some(LOOK_AGAIN),
            _ => None,
        };
        if self.state.fetch_update(AcqRel, Acquire, news) == Ok(RESTING) {
            self.engine.schedule().is_ready(self.number);
            self.engine.wake_by(Time::default());
        }
    }
}

impl Watcher for Task {
    fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.engine.watch_writable(fd, tagged(self.number, TASK))
    }

    fn unwatch(&self, number: RawFd) {
        self.engine.unwatch_number(number);
    }
}

#[derive(Debug)]
struct Entry {
    task: Arc<Task>,
    until: Time,
    token: Option<Arc<CancelToken>>,
}

#[derive(Debug, Default)]
struct Desk {
    tasks: BTreeMap<u64, Entry>,
    timers: BTreeSet<(Time, u64)>,
    ready: VecDeque<u64>,
    tokens: Tokens,
}

/// The engine's list of tasks.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Guards itself alone.
    desk: Mutex<Desk>,
    drawn: AtomicU64,
    /// The engine cannot go on: its descriptors were closed.
    is_broken: AtomicBool,
}

impl Schedule {
    /// A number that no task or token had.
    fn draw(&self) -> u64 {
        self.drawn.fetch_add(1, Relaxed)
    }

    fn enter(&self, task: &Arc<Task>, until: Time, is_ready: bool) {
        let entry = Entry {
            task: task.clone(),
            until,
            token: None,
        };
        let mut desk = self.desk.lock();
        desk.tasks.insert(task.number, entry);
        if until != Time::NEVER {
            desk.timers.insert((until, task.number));
        }
        if is_ready {
            desk.ready.push_back(task.number);
        }
    }

    fn is_ready(&self, number: u64) {
        self.desk.lock().ready.push_back(number);
    }

    fn look_at(&self, number: u64, until: Time) {
        let mut desk = self.desk.lock();
        let Desk { tasks, timers, .. } = &mut *desk;
        if let Some(entry) = tasks.get_mut(&number) {
            timers.remove(&(entry.until, number));
            entry.until = until;
            if until != Time::NEVER {
                timers.insert((until, number));
            }
        }
    }

    fn leave(&self, number: u64) {
        let mut desk = self.desk.lock();
        let Some(entry) = desk.tasks.remove(&number) else {
            return;
        };
        desk.timers.remove(&(entry.until, number));
        if let Some(token) = &entry.token {
            if desk.tokens.put_down(token, number) {
                entry.task.engine.unwatch_token(token);
            }
        }
        if desk.tasks.is_empty() {
            *desk = Desk::default();
        }
        drop(desk);
        // What it holds (a pool, perhaps the last hold on it) goes without a lock.
        drop(entry);
    }

    fn carry(&self, task: &Task, token: &Arc<CancelToken>) -> io::Result<()> {
        let mut desk = self.desk.lock();
        let Desk { tasks, tokens, .. } = &mut *desk;
        let Some(entry) = tasks.get_mut(&task.number) else {
            return Ok(());
        };
        let number = match tokens.number(token) {
            Some(number) => number,
            None => {
                let number = self.draw();
                task.engine.watch_token(token, tagged(number, TOKEN))?;
                number
            }
        };
        tokens.take_up(token, number, task.number);
        entry.token = Some(token.clone());
        drop(desk);
        // It may have fired, and woken the others, before this one was listed.
        if token.has_fired() {
            task.wake();
        }
        Ok(())
    }

    /// epoll has reported `data`; false if that is a connection's.
    pub(crate) fn happened(&self, data: u64) -> bool {
        if data & TASK == 0 {
            return false;
        }
        let number = (data >> 32) << LOW_BITS | (data & LOW);
        let desk = self.desk.lock();
        let woken: Vec<Arc<Task>> = if data & TOKEN == TASK {
            desk.tasks
                .get(&number)
                .map(|one| one.task.clone())
                .into_iter()
                .collect()
        } else {
            let carriers = desk.tokens.carriers(number);
            carriers.filter_map(|number| desk.task(number)).collect()
        };
        drop(desk);
        woken.iter().for_each(|task| task.wake());
        true
    }

    /// When the engine has to look; at once if something is ready.
    pub(crate) fn due(&self) -> Time {
        let desk = self.desk.lock();
        match (desk.ready.is_empty(), desk.timers.first()) {
            (false, _) => Time::default(),
            (true, Some(&(time, _))) => time,
            (true, None) => Time::NEVER,
        }
    }

    /// Looks at what is ready, and at those whose time has come.
    pub(crate) fn look(&self, now: Time) {
        let mut desk = self.desk.lock();
        let mut found = Vec::new();
        while let Some(&(time, number)) = desk.timers.first() {
            if time > now {
                break;
            }
            desk.timers.pop_first();
            found.push(number);
        }
        let due: Vec<Arc<Task>> = found
            .iter()
            .filter_map(|number| desk.task(*number))
            .collect();
        drop(desk);
        due.iter().for_each(|task| task.wake());
        let mut desk = self.desk.lock();
        let numbers = std::mem::take(&mut desk.ready);
        let ready: Vec<Arc<Task>> = numbers
            .iter()
            .filter_map(|number| desk.task(*number))
            .collect();
        drop(desk);
        ready.iter().for_each(|task| task.look_as(Thread::Engine));
    }

    fn of(&self, is_meant: impl Fn(&dyn Work) -> bool) -> Vec<Arc<Task>> {
        let desk = self.desk.lock();
        let tasks = desk.tasks.values().map(|entry| &entry.task);
        tasks
            .filter(|task| is_meant(task.work()))
            .cloned()
            .collect()
    }

    /// The pool ends: its tasks do too, here, unless another thread is at them.
    pub(crate) fn end(&self, pool: &Pool) {
        let of_pool = self.of(|work| std::ptr::eq(Arc::as_ptr(work.pool()), pool));
        of_pool.iter().for_each(Task::look);
    }

    /// The same from a thread that must not be held up.
    pub(crate) fn wake(&self, pool: &Pool) {
        let of_pool = self.of(|work| std::ptr::eq(Arc::as_ptr(work.pool()), pool));
        of_pool.iter().for_each(|task| task.wake());
    }

    /// Nobody wants answers for that queue any more: its dials end here, unless another thread is at them.
    pub(crate) fn abandon(&self, queue: usize) {
        let abandoned = self.of(|work| work.abandon(queue));
        abandoned.iter().for_each(Task::look);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(SeqCst)
    }

    /// The engine cannot go on: everything in its care ends.
    pub(crate) fn break_down(&self) {
        self.is_broken.store(true, SeqCst);
        let all = self.of(|_| true);
        all.iter().for_each(|task| task.look_as(Thread::Engine));
    }
}

impl Desk {
    fn task(&self, number: u64) -> Option<Arc<Task>> {
        self.tasks.get(&number).map(|entry| entry.task.clone())
    }
}
