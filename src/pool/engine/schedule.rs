//! The engine's lists: which tasks there are, which are ready, whose time has come, and which
//! cancel tokens wake whom.
//!
//! Sockets and tokens of tasks are in the engine's own epoll, told from connections by their
//! numbers. Knows nothing of what a task is.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::io;

use super::poller::Poller;
use super::tokens::Tokens;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use crate::sync::{Arc, Mutex};
use crate::sys::memory;
use crate::sys::wake::CancelToken;
use crate::values::clock::Time;

/// A slot index has 24 bits, so these bits are free in the numbers of connections.
pub(crate) const TASK: u64 = 1 << 31;
const TOKEN: u64 = 3 << 30;
const LOW_BITS: u32 = 30;
const LOW: u64 = (1 << LOW_BITS) - 1;

/// As many tasks are looked at in one hold of the lock: the memory for it is bounded.
const MOST_AT_ONCE: usize = 256;

/// The number that epoll reports for a task or a token.
pub(crate) fn tagged(number: u64, tag: u64) -> u64 {
    (number >> LOW_BITS) << 32 | tag | (number & LOW)
}

#[derive(Debug)]
struct Scheduled<T> {
    task: T,
    until: Time,
    token: Option<Arc<CancelToken>>,
}

#[derive(Debug)]
struct Lists<T> {
    tasks: BTreeMap<u64, Scheduled<T>>,
    timers: BTreeSet<(Time, u64)>,
    ready: VecDeque<u64>,
    tokens: Tokens,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self {
            tasks: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            tokens: Tokens::default(),
        }
    }
}

impl<T: Clone> Lists<T> {
    fn task(&self, number: u64) -> Option<T> {
        self.tasks.get(&number).map(|entry| entry.task.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Schedule<T> {
    /// Guards itself alone.
    lists: Mutex<Lists<T>>,
    numbers: AtomicU64,
}

impl<T: Clone + Debug> Schedule<T> {
    pub(crate) fn new() -> Self {
        Self {
            lists: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// A number that no task or token had.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    /// Sees to it that one task more can be made ready without an allocation; false if there is no
    /// memory for that.
    pub(crate) fn try_reserve(&self) -> bool {
        let mut lists = self.lists.lock();
        let more = lists.tasks.len() + 1 - lists.ready.len().min(lists.tasks.len());
        memory::or_none(|| lists.ready.try_reserve(more)).is_some()
    }

    pub(crate) fn insert(&self, number: u64, task: T, until: Time, is_ready: bool) {
        let mut lists = self.lists.lock();
        let token = None;
        lists.tasks.insert(number, Scheduled { task, until, token });
        if until != Time::NEVER {
            lists.timers.insert((until, number));
        }
        if is_ready {
            lists.ready.push_back(number);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.lock().tasks.is_empty()
    }

    pub(crate) fn make_ready(&self, number: u64) {
        self.lists.lock().ready.push_back(number);
    }

    pub(crate) fn set_timer(&self, number: u64, until: Time) {
        let mut lists = self.lists.lock();
        let Lists { tasks, timers, .. } = &mut *lists;
        if let Some(entry) = tasks.get_mut(&number) {
            timers.remove(&(entry.until, number));
            entry.until = until;
            if until != Time::NEVER {
                timers.insert((until, number));
            }
        }
    }

    pub(crate) fn remove(&self, number: u64, poller: &Poller) {
        let mut lists = self.lists.lock();
        let Some(entry) = lists.tasks.remove(&number) else {
            return;
        };
        lists.timers.remove(&(entry.until, number));
        if let Some(token) = &entry.token {
            if lists.tokens.remove(token, number) {
                if let Ok(fd) = token.arm() {
                    poller.unwatch(fd);
                }
            }
        }
        if lists.tasks.is_empty() {
            *lists = Lists::default();
        }
        drop(lists);
        // What it holds (a pool, perhaps the last hold on it) goes without a lock.
        drop(entry);
    }

    /// The token wakes that task too.
    pub(crate) fn add_token(
        &self,
        number: u64,
        token: &Arc<CancelToken>,
        poller: &Poller,
    ) -> io::Result<()> {
        let mut lists = self.lists.lock();
        let Lists { tasks, tokens, .. } = &mut *lists;
        let Some(entry) = tasks.get_mut(&number) else {
            return Ok(());
        };
        let token_number = match tokens.number(token) {
            Some(number) => number,
            None => {
                let fresh = self.next_number();
                poller.watch_readable(token.arm()?, tagged(fresh, TOKEN))?;
                fresh
            }
        };
        tokens.add(token, token_number, number);
        entry.token = Some(token.clone());
        Ok(())
    }

    /// Shows the tasks that an event of epoll is meant for, without the lock; false if it is a
    /// connection's.
    pub(crate) fn show_by_event(&self, data: u64, show: impl Fn(&T)) -> bool {
        if data & TASK == 0 {
            return false;
        }
        let number = (data >> 32) << LOW_BITS | (data & LOW);
        if data & TOKEN == TASK {
            let task = self.lists.lock().task(number);
            task.iter().for_each(show);
        } else {
            self.each_carrier(number, show);
        }
        true
    }

    fn each_carrier(&self, token: u64, show: impl Fn(&T)) {
        let mut from = 0;
        loop {
            let lists = self.lists.lock();
            let some = lists.tokens.carriers(token, from).take(MOST_AT_ONCE);
            let some: Vec<(u64, Option<T>)> = some.map(|at| (at, lists.task(at))).collect();
            drop(lists);
            let Some(&(last, _)) = some.last() else {
                return;
            };
            some.iter()
                .filter_map(|(_, task)| task.as_ref())
                .for_each(&show);
            from = last + 1;
        }
    }

    /// When the engine has to poll; at once if something is ready.
    pub(crate) fn next_deadline(&self) -> Time {
        let lists = self.lists.lock();
        match (lists.ready.is_empty(), lists.timers.first()) {
            (false, _) => Time::default(),
            (true, Some(&(time, _))) => time,
            (true, None) => Time::NEVER,
        }
    }

    /// Takes off the timers those whose time has come, some at once.
    pub(crate) fn take_due(&self, now: Time) -> Vec<T> {
        let mut lists = self.lists.lock();
        let mut due = Vec::new();
        while let Some(&(time, number)) = lists.timers.first() {
            if time > now || due.len() == MOST_AT_ONCE {
                break;
            }
            lists.timers.pop_first();
            due.extend(lists.task(number));
        }
        due
    }

    /// The tasks that are ready, some at once.
    pub(crate) fn take_ready(&self) -> Vec<T> {
        let mut lists = self.lists.lock();
        let some = lists.ready.len().min(MOST_AT_ONCE);
        let Lists { tasks, ready, .. } = &mut *lists;
        let numbers = ready.drain(..some);
        let tasks = numbers.filter_map(|number| Some(tasks.get(&number)?.task.clone()));
        tasks.collect()
    }

    /// Shows each task that is there now, without the lock.
    pub(crate) fn each(&self, show: impl Fn(&T)) {
        let mut from = 0;
        loop {
            let lists = self.lists.lock();
            let some = lists.tasks.range(from..).take(MOST_AT_ONCE);
            let some: Vec<(u64, T)> = some.map(|(&at, one)| (at, one.task.clone())).collect();
            drop(lists);
            let Some(&(last, _)) = some.last() else {
                return;
            };
            some.iter().for_each(|(_, task)| show(task));
            from = last + 1;
        }
    }
}
