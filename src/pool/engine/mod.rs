//! The one background thread of the process: it watches idle connections, closes what is too old,
//! and polls dials that no thread sleeps on.
//!
//! It starts with the first connection that is to be watched and ends with the last pool. It
//! sleeps until an event or the next moment that a pool has armed; there is no tick. Code of the
//! program never runs on it: helper threads do that.
//!
//! Watching costs nothing per borrow: a connection is registered once, edge-triggered, for the
//! peer's hang-up. Bytes are asked for (EPOLLIN) only when it has been idle for a while, and the
//! first event on a borrowed one takes that back.
//!
//! Inside: `tokens`, `poller`, `schedule` < `client` < `task` < this file. No file here knows a
//! pool or a connection.
#![forbid(unsafe_code)]

pub(crate) mod client;
pub(crate) mod poller;
mod schedule;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod tokens;

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Weak;

use self::client::{Client, Handlers};
use self::task::Reactor;
use crate::sync::{Arc, Mutex};
use crate::sys::thread::{self, JoinHandle};
use crate::sys::{clock, fork};
use crate::values::clock::Time;

const STACK_SIZE: usize = 256 << 10;

/// The running engine, if there is one.
#[derive(Debug)]
pub(crate) struct Engines {
    /// Guards the start and the end of the engine, and with it who may add a pool.
    running: Mutex<Option<RunningEngine>>,
}

#[derive(Debug)]
struct RunningEngine {
    engine: Arc<Engine>,
    thread: JoinHandle,
}

thread_local! {
    /// The process epoch whose engine this thread is. Asked instead of `std::thread::current`,
    /// which allocates on threads of the program.
    static ENGINE_OF: Cell<u32> = const { Cell::new(0) };
}

/// What the thread and its callers share.
#[derive(Debug)]
pub(crate) struct Engine {
    reactor: Arc<Reactor>,
    /// Guards the list of clients alone.
    clients: Mutex<Vec<Weak<dyn Client>>>,
}

impl Engines {
    pub(crate) fn new() -> Self {
        Self {
            running: Mutex::new(None),
        }
    }

    /// The engine, which looks after `client` until it leaves; started if it is not running. Two
    /// threads may join for one client at once.
    pub(crate) fn join(
        &self,
        client: Arc<dyn Client>,
        handlers: Handlers,
    ) -> io::Result<Arc<Engine>> {
        let mut running = self.running.lock();
        let engine = match running.as_ref() {
            Some(running) => running.engine.clone(),
            None => {
                // First: what the engine brings about must find a thread to be told on.
                let helpers = handlers.helpers.clone();
                helpers.start_standby()?;
                let started =
                    RunningEngine::start(handlers).inspect_err(|_| helpers.end_standby())?;
                running.insert(started).engine.clone()
            }
        };
        let weak = Arc::downgrade(&client);
        let mut clients = engine.clients.lock();
        if !clients.iter().any(|one| one.ptr_eq(&weak)) {
            clients.push(weak);
        }
        drop(clients);
        engine.wake_by(client.next_deadline());
        Ok(engine)
    }

    /// Before a descriptor is closed or given away.
    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>) {
        if let Some(running) = self.running.lock().as_ref() {
            running.engine.reactor.poller.unwatch(fd);
        }
    }

    /// The queue at that address is freed: no answer for it is wanted any more.
    pub(crate) fn abandon(&self, queue: usize) {
        let running = self.running.lock();
        let engine = running.as_ref().map(|running| running.engine.clone());
        drop(running);
        if let Some(engine) = engine {
            engine.reactor.abandon(queue);
        }
    }

    /// The client has ended: its idle connections are gone. When it was the last, the engine's
    /// thread is gone too when this returns, or ends with its last task.
    pub(crate) fn leave(&self, client: &dyn Client, engine: Arc<Engine>) {
        let mut running = self.running.lock();
        let mut clients = engine.clients.lock();
        clients.retain(|one| !std::ptr::addr_eq(one.as_ptr(), client));
        let is_unused = clients.is_empty();
        drop(clients);
        let is_running = running
            .as_ref()
            .is_some_and(|one| Arc::ptr_eq(&one.engine, &engine));
        let ended = if is_unused && is_running {
            running.take()
        } else {
            None
        };
        drop(running);
        if let Some(RunningEngine { engine, thread }) = ended {
            engine.reactor.end();
            // A hook that still runs has its time, and the engine ends after it.
            if engine.reactor.has_ended() {
                thread.join();
            }
        }
    }
}

impl RunningEngine {
    fn start(handlers: Handlers) -> io::Result<Self> {
        let engine = Arc::new(Engine::new(handlers)?);
        let runner = engine.clone();
        let thread = thread::spawn(c"vcp-engine", STACK_SIZE, move || runner.run())?;
        Ok(Self { engine, thread })
    }
}

impl Engine {
    fn new(handlers: Handlers) -> io::Result<Self> {
        Ok(Self {
            reactor: Arc::new(Reactor::new(handlers)?),
            clients: Mutex::new(Vec::new()),
        })
    }

    /// A client has something to do by `time`; wakes the engine if it would sleep longer.
    pub(crate) fn wake_by(&self, time: Time) {
        self.reactor.poller.wake_by(time);
    }

    /// Where tasks are made and found.
    pub(crate) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    /// The calling thread is an engine: code of the program must not run on it.
    pub(crate) fn is_this_thread() -> bool {
        ENGINE_OF.get() == fork::epoch()
    }

    fn run(&self) {
        ENGINE_OF.set(fork::epoch());
        while !self.reactor.has_ended() {
            let polled = catch_unwind(AssertUnwindSafe(|| self.poll()));
            if !matches!(polled, Ok(Ok(()))) {
                // The program closed the library's descriptors (as daemons do with all of theirs),
                // or a bug has panicked: there is nothing left to watch with, and trying again
                // would spin. Tasks end with an error; connections are still peeked at when they
                // are borrowed.
                break;
            }
        }
        // A task that was started a moment ago finds that no engine will poll it.
        self.reactor.break_down();
        // The last task may have been the last to hold its pool, whose free_user runs on a helper.
        self.reactor.end_standby();
    }

    /// One sleep, and what there is to do after it.
    fn poll(&self) -> io::Result<()> {
        let Reactor { poller, .. } = &*self.reactor;
        poller.poll(
            || self.next_deadline(),
            |event| self.reactor.on_event(event.data, event.events),
        )?;
        let now = clock::now();
        self.reactor.poll_tasks(now);
        for client in self.clients_due_at(now) {
            client.reap(now);
        }
        Ok(())
    }

    fn next_deadline(&self) -> Time {
        let clients = self.clients.lock();
        let due = clients
            .iter()
            .filter_map(|client| Some(client.upgrade()?.next_deadline()));
        let due = due.min().unwrap_or(Time::NEVER);
        due.min(self.reactor.next_deadline())
    }

    fn clients_due_at(&self, now: Time) -> Vec<Arc<dyn Client>> {
        let clients = self.clients.lock();
        let alive = clients.iter().filter_map(Weak::upgrade);
        alive
            .filter(|client| client.next_deadline() <= now)
            .collect()
    }
}
