//! One pool: the state behind its lock, and what happens outside of it.
//!
//! Every operation is the same three steps: change the state under the lock, unlock, apply the
//! effects. Sockets are closed, peers are looked at and code of the program runs without any lock.
//! `ffi` calls this, and so does the engine.
#![forbid(unsafe_code)]

pub(crate) mod background;
pub(crate) mod callbacks;
pub(crate) mod conn;
pub(crate) mod dialing;
pub(crate) mod engine;
pub(crate) mod entry;
pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod lend;
pub(crate) mod report;
pub(crate) mod runtime;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod thread_cache;
pub(crate) mod transition;

use std::collections::VecDeque;
use std::fmt::Debug;

use crate::dial::dialer::Dialer;
use crate::handle::{HandleKind, Kept, Owned, Table};
use crate::pool::callbacks::deferred::DeferredEvent;
use crate::pool::callbacks::gate::Gate;
use crate::pool::callbacks::{Hooks, Observer};
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::loan::Loans;
use crate::pool::conn::unclosed::Unclosed;
use crate::pool::conn::Conn;
use crate::pool::engine::Engine;
use crate::pool::errors::{canceled, forked_inside_callback};
use crate::pool::settings::Settings;
use crate::pool::state::answer::Reuse;
use crate::pool::state::State;
use crate::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::sys::fork::per_process::PerProcess;
use crate::sys::wake::CancelToken;
use crate::sys::{clock, fork};
use crate::values::clock::{Deadline, Time};
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Phase, Result};
use crate::values::options::Options;

/// One pool: its state, behind a lock, and what its borrowers and its engine share.
#[derive(Debug)]
pub(crate) struct Pool {
    /// What is in it of [`Adjustable`](crate::values::options::Adjustable) stands in `settings`.
    options: Options,
    settings: Settings,
    /// The process that it belongs to (`sys::fork`).
    epoch: u32,
    dialer: Arc<Dialer>,
    /// Guards everything that `state` describes. No system call that can wait and no code of the
    /// program under it.
    state: Mutex<State<Owned<Conn>>>,
    /// When the engine has to look at this pool. Written under the state's lock.
    due: AtomicU64,
    /// `None` before the first connection, and after the pool's end. Guards itself alone.
    engine: Mutex<Option<Arc<Engine>>>,
    is_closed: AtomicBool,
    /// The last peer's address, shared by the connections that have the same one. Guards itself
    /// alone.
    last_remote: Mutex<Option<Arc<Endpoint>>>,
    /// Told what happens.
    observer: Option<Arc<dyn Observer>>,
    /// Events that the observer has not been told yet. Guards itself alone.
    deferred: Mutex<VecDeque<(DeferredEvent, Option<FollowUp>)>>,
    /// Guards itself alone.
    unclosed: Mutex<Unclosed>,
    /// Empty unless leaks are reported. Guards itself alone; taken under the state's lock too.
    loans: Mutex<Loans>,
    hooks: Option<Arc<dyn Hooks>>,
    user: Option<Arc<dyn Debug + Send + Sync>>,
    /// Passed by lookups too, which may outlive the pool.
    gate: Arc<Gate>,
    /// Borrowing and giving back ask and tell nothing, so the fast path may be taken
    /// (`entry::fast_hit`).
    is_plain: bool,
    /// See [`Pool::fast_path_idle_ms`]; what set_limits changes it by. Written under the state's
    /// lock.
    fast_path_idle_ms: AtomicU32,
}

/// A pool in its slot of the handle table.
#[derive(Debug)]
pub(crate) struct PoolHandle(PerProcess<Arc<Pool>>);

impl Kept for PoolHandle {
    fn table() -> &'static Table<Self> {
        static POOLS: Table<PoolHandle> = Table::new(HandleKind::Pool);
        &POOLS
    }
}

/// Where the answer of an asynchronous dial goes.
pub(crate) trait Reply: Debug + Send + Sync {
    /// Answers, unless that was done before.
    fn answer(&self, result: Result<Owned<Conn>>);
    /// No answer was given yet.
    fn is_pending(&self) -> bool;
    /// No answer is wanted any more.
    fn is_abandoned(&self) -> bool;
    /// Abandons an answer that is meant for the queue at that address; false if it is not.
    fn abandon_if_for(&self, queue: usize) -> bool;
    /// Abandons an answer whose queue was freed before the dial could be found; false if it was
    /// not.
    fn abandon_if_queue_freed(&self) -> bool;
}

/// What one borrow is asked for: the options of the dial, read and with its times as deadlines.
#[derive(Clone, Debug)]
pub(crate) struct BorrowOptions {
    pub(crate) reuse: Reuse,
    pub(crate) deadline: Deadline,
    /// How long it waits at a limit; `None`: not at all.
    pub(crate) wait_until: Option<Deadline>,
    /// The deadline had passed before the call: it fails, even if something is idle.
    pub(crate) is_late: bool,
    /// The deadline is the pool's own, or later: when it passes, the destination is to blame.
    pub(crate) blames_destination: bool,
    pub(crate) token: Option<Arc<CancelToken>>,
    /// Who is to be answered; `None`: its caller waits, or nobody does.
    pub(crate) reply: Option<Arc<dyn Reply>>,
    /// Names the borrower.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) mode: Mode,
    /// So many idle connections turned out to be unfit before it asked the pool
    /// (`entry::fast_hit`).
    pub(crate) found_unfit: u32,
}

/// The descriptor's mode for one borrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    AsThePool,
    Nonblocking,
    Blocking,
}

impl BorrowOptions {
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or_default()
    }

    /// What fails before anything is looked at, a hit too.
    fn may_begin(&self) -> Result<()> {
        if self.is_late {
            return Err(Error::timeout(Phase::Connecting, ""));
        }
        match &self.token {
            Some(token) if token.has_fired() => Err(canceled()),
            _ => Ok(()),
        }
    }

    /// What fails between two dials of one call.
    fn may_go_on(&self) -> Result<()> {
        if self.deadline.has_passed(clock::now()) {
            return Err(Error::timeout(Phase::Connecting, ""));
        }
        self.may_begin()
    }
}

impl Pool {
    /// The one way to the state.
    fn locked(&self) -> MutexGuard<'_, State<Owned<Conn>>> {
        self.must_be_ours();
        self.state.lock()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(SeqCst)
    }

    /// The fast path may lend its connections, unless what set_limits changes forbids it.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Its connections are sessions of a driver that dials by itself.
    pub(crate) fn opens_sessions(&self) -> bool {
        self.dialer.opens_sessions()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long a connection may be idle and still be borrowed by the fast path; 0: it must not be.
    pub(crate) fn fast_path_idle_ms(&self) -> u32 {
        self.fast_path_idle_ms.load(Relaxed)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn due(&self) -> Time {
        Time::from_nanos(self.due.load(SeqCst))
    }

    /// It belongs to a parent process; a call that was inside it before the fork has come back
    /// here.
    pub(crate) fn is_inherited(&self) -> bool {
        self.epoch != fork::epoch()
    }

    /// To be called before any lock: such a call ends here.
    pub(crate) fn must_be_ours(&self) {
        if self.is_inherited() {
            fork::leave_parents_call();
        }
    }

    /// Fails in a child, for callers that have something to undo.
    pub(crate) fn fail_if_inherited(&self) -> Result<()> {
        if self.is_inherited() {
            return Err(forked_inside_callback());
        }
        Ok(())
    }
}
