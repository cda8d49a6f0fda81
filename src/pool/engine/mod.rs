//! The one background thread of the process: it watches idle connections and closes what is too old.
//!
//! It starts with the first connection that is to be watched and ends with the last pool. It sleeps until an event or
//! until the next moment that a pool has armed; there is no tick. Program code never runs on it (`helper` does that).
//!
//! Watching costs nothing per borrow: a connection is registered once, edge-triggered, for the peer's hang-up. Bytes
//! are asked for (EPOLLIN) only when it has been idle for a while, and the first event on a borrowed one takes that back.
#![forbid(unsafe_code)]

pub(crate) mod tasks;
mod tokens;

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Weak;
use std::thread::JoinHandle;

use crate::handle::{Kept, Place};
use crate::pool::conn::Conn;
use crate::pool::engine::tasks::Schedule;
use crate::pool::runtime::runtime;
use crate::pool::Pool;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use crate::sync::{Arc, Mutex};
use crate::sys::epoll::{self, Epoll, Event};
use crate::sys::eventfd::EventFd;
use crate::sys::wake::CancelToken;
use crate::sys::{clock, fork, thread};
use crate::thread_pool::Job;
use crate::values::clock::Time;

/// The waker's number; no place has it, because a slot index has 24 bits.
const WAKER: u64 = u64::MAX;
const STACK_SIZE: usize = 256 << 10;

/// The running engine, if there is one.
#[derive(Debug)]
pub(crate) struct Engines {
    /// Guards the start and the end of the engine, and with it who may add a pool.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    engine: Arc<Engine>,
    thread: JoinHandle<()>,
}

thread_local! {
    /// The generation whose engine this thread is. Asked instead of `std::thread::current`, which allocates on threads of the
    /// program.
    static ENGINE_OF: Cell<u32> = const { Cell::new(0) };
}

/// What the thread and its callers share.
#[derive(Debug)]
pub(crate) struct Engine {
    epoll: Epoll,
    waker: EventFd,
    /// The time it sleeps until; 0 while it is awake and will look anyway.
    sleeps_until: AtomicU64,
    is_ended: AtomicBool,
    /// Guards the list of pools alone.
    pools: Mutex<Vec<Weak<Pool>>>,
    schedule: Schedule,
}

impl Engines {
    pub(crate) fn new() -> Self {
        Self {
            running: Mutex::new(None),
        }
    }

    /// The engine, which from now on looks after `pool`; starts it if it is not running.
    pub(crate) fn join(&self, pool: &Arc<Pool>) -> io::Result<Arc<Engine>> {
        let mut running = self.running.lock();
        let engine = match running.as_ref() {
            Some(running) => running.engine.clone(),
            None => {
                let engine = Arc::new(Engine::new()?);
                let runner = engine.clone();
                let thread = thread::spawn("vcp-engine", STACK_SIZE, move || runner.run())?;
                *running = Some(Running {
                    engine: engine.clone(),
                    thread,
                });
                engine
            }
        };
        engine.pools.lock().push(Arc::downgrade(pool));
        engine.wake_by(pool.due());
        Ok(engine)
    }

    /// Before a descriptor is closed or given away: a copy of it in a forked child would keep it registered.
    pub(crate) fn unwatch(&self, conn: &Conn) {
        if let Some(running) = self.running.lock().as_ref() {
            running.engine.unwatch(conn);
        }
    }

    /// Nobody wants answers for that queue any more.
    pub(crate) fn abandon(&self, queue: usize) {
        let running = self.running.lock();
        let engine = running.as_ref().map(|running| running.engine.clone());
        drop(running);
        if let Some(engine) = engine {
            engine.schedule.abandon(queue);
        }
    }

    /// The pool has ended: its idle connections are gone. When it was the last, the engine's thread is gone too when this
    /// returns.
    pub(crate) fn leave(&self, pool: &Pool, engine: Arc<Engine>) {
        let mut running = self.running.lock();
        let mut pools = engine.pools.lock();
        pools.retain(|one| !std::ptr::eq(one.as_ptr(), pool));
        let is_unused = pools.is_empty();
        drop(pools);
        let is_running = running
            .as_ref()
            .is_some_and(|one| Arc::ptr_eq(&one.engine, &engine));
        let ended = if is_unused && is_running {
            running.take()
        } else {
            None
        };
        drop(running);
        if let Some(Running { engine, thread }) = ended {
            engine.is_ended.store(true, SeqCst);
            engine.waker.signal();
            // A destructor of the program may have had to run on the engine itself (no thread to be had) and closed the
            // last pool: then nobody waits.
            if !Engine::is_this_thread() {
                let _ = thread.join();
            }
        }
    }
}

/// Runs code of the program: on a helper thread if this one is an engine, which nothing may hold up.
pub(crate) fn run_where_it_may(job: Job) {
    if Engine::is_this_thread() {
        runtime().helpers.run(job);
    } else {
        job();
    }
}

impl Engine {
    fn new() -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let waker = EventFd::new()?;
        epoll.add(waker.as_fd(), epoll::READABLE, WAKER)?;
        Ok(Self {
            epoll,
            waker,
            sleeps_until: AtomicU64::new(0),
            is_ended: AtomicBool::new(false),
            pools: Mutex::new(Vec::new()),
            schedule: Schedule::default(),
        })
    }

    /// There is something to be looked at by `time`; wakes the engine if it would sleep longer.
    pub(crate) fn wake_by(&self, time: Time) {
        if time.nanos() < self.sleeps_until.load(SeqCst) {
            self.waker.signal();
        }
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The calling thread is an engine: code of the program must not run on it.
    pub(crate) fn is_this_thread() -> bool {
        ENGINE_OF.get() == fork::generation()
    }

    /// Reports `number` when a connect(2) has ended.
    pub(crate) fn watch_writable(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        self.epoll.add(fd, epoll::WRITABLE | epoll::EDGE, number)
    }

    pub(crate) fn unwatch_number(&self, number: RawFd) {
        let _ = self.epoll.remove_number(number);
    }

    /// Reports `number` when the token fires.
    pub(crate) fn watch_token(&self, token: &CancelToken, number: u64) -> io::Result<()> {
        let fd = token.arm()?;
        self.epoll.add(fd, epoll::READABLE | epoll::EDGE, number)
    }

    pub(crate) fn unwatch_token(&self, token: &CancelToken) {
        if let Ok(fd) = token.arm() {
            let _ = self.epoll.remove(fd);
        }
    }

    fn base_events(conn: &Conn) -> u32 {
        if conn.is_datagram() {
            epoll::EDGE
        } else {
            epoll::PEER_HANG_UP | epoll::EDGE
        }
    }

    /// From now on a hang-up of the peer is noticed. Fails where epoll has no room for it.
    pub(crate) fn watch(&self, conn: &Conn, place: Place) -> io::Result<()> {
        self.epoll
            .add(conn.fd(), Self::base_events(conn), place.to_bits())
    }

    /// Bytes are noticed too.
    pub(crate) fn arm(&self, conn: &Conn, place: Place) -> io::Result<()> {
        self.epoll.modify(
            conn.fd(),
            Self::base_events(conn) | epoll::READABLE,
            place.to_bits(),
        )
    }

    /// Bytes are not noticed any more: the connection is in use.
    pub(crate) fn disarm(&self, conn: &Conn, place: Place) -> io::Result<()> {
        self.epoll
            .modify(conn.fd(), Self::base_events(conn), place.to_bits())
    }

    fn unwatch(&self, conn: &Conn) {
        // ENOENT and EBADF: the program closed the descriptor behind our back; there is nothing left to undo.
        let _ = self.epoll.remove(conn.fd());
    }

    fn run(&self) {
        ENGINE_OF.set(fork::generation());
        while !self.is_ended.load(SeqCst) {
            let due = self.earliest();
            self.sleeps_until.store(due.nanos(), SeqCst);
            // A pool that armed an earlier time before the store has been seen by this second look, one that does so
            // after it sees the store and wakes it.
            let due = due.min(self.earliest());
            let mut events = Vec::new();
            let until = (due != Time::NEVER).then_some(due);
            if self.epoll.wait(until, |event| events.push(event)).is_err() {
                self.schedule.break_down();
                // The program closed the library's descriptors (as daemons do with all of theirs): there is nothing left
                // to watch with, and trying again would spin. Connections are still looked at when borrowed.
                return;
            }
            self.sleeps_until.store(0, SeqCst);
            events.into_iter().for_each(|event| self.handle(event));
            let now = clock::now();
            self.schedule.look(now);
            self.pools_due_at(now)
                .iter()
                .for_each(|pool| pool.reap(now));
        }
    }

    fn earliest(&self) -> Time {
        let pools = self.pools.lock();
        let due = pools.iter().filter_map(|pool| Some(pool.upgrade()?.due()));
        due.min().unwrap_or(Time::NEVER).min(self.schedule.due())
    }

    fn pools_due_at(&self, now: Time) -> Vec<Arc<Pool>> {
        let pools = self.pools.lock();
        pools
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|pool| pool.due() <= now)
            .collect()
    }

    fn handle(&self, event: Event) {
        if event.data == WAKER {
            self.waker.clear();
            return;
        }
        if self.schedule.happened(event.data) {
            return;
        }
        let place = Place::from_bits(event.data);
        let Some(conn) = Conn::table().pin_place(place) else {
            return;
        };
        let pool = conn.pool().clone();
        let effects = pool.noticed(self, &conn, place, event.events);
        // Closing waits for every pin, this one too.
        drop(conn);
        pool.apply_in_background(effects);
    }
}
