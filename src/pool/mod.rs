//! One pool: the state behind its lock, and what happens outside of it.
//!
//! Every operation is the same three steps: change the state under the lock, unlock, apply the effects. Sockets are
//! closed, peers are looked at and code of the program runs without any lock. `ffi` calls this, and so does the engine.
#![forbid(unsafe_code)]

pub(crate) mod background;
pub(crate) mod callbacks;
pub(crate) mod conn;
pub(crate) mod dialing;
pub(crate) mod engine;
pub(crate) mod entry;
pub(crate) mod events;
pub(crate) mod hints;
pub(crate) mod lend;
pub(crate) mod report;
pub(crate) mod runtime;
pub(crate) mod state;
pub(crate) mod transition;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use self::background::reply::Claim;
use self::callbacks::gate::Gate;
use self::conn::Conn;
use self::dialing::wait::{Asleep, InLine, Standing};
use self::engine::Engine;
use self::events::Observer;
use self::lend::hand_over::NotLent;
use self::lend::hooks::{Hook, Hooks};
use self::report::leaks::Lent;
use self::runtime::runtime;
use self::state::answer::{Effects, Fate, Reuse, Take};
use self::state::counters::{CloseCause, Stats};
use self::state::held::Held;
use self::state::{DestinationId, State};
use self::transition::close_conn;
use crate::dial::callbacks::DialCallbacks;
use crate::dial::resolve::cache::Cache;
use crate::dial::Dialer;
use crate::handle::{owners, Owned};
use crate::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::sys::wake::CancelToken;
use crate::sys::{self, clock, fork, socket};
use crate::values::address::Address;
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Phase, Result, Status};
use crate::values::event::Kind as EventKind;
use crate::values::options::{Liveness, Options};

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    options: Options,
    /// The process that it belongs to (`sys::fork`).
    generation: u32,
    dialer: Arc<Dialer>,
    /// Guards everything that `state` describes. No system call that can wait and no code of the program under it.
    state: Mutex<State<Owned<Conn>>>,
    /// When the engine has to look at this pool. Written under the state's lock.
    due: AtomicU64,
    /// `None` before the first connection, and after the pool's end. Guards itself alone.
    engine: Mutex<Option<Arc<Engine>>>,
    is_closed: AtomicBool,
    /// The last peer's address, shared by the connections that have the same one. Guards itself alone.
    last_remote: Mutex<Option<Arc<Endpoint>>>,
    /// Told what happens.
    observer: Option<Arc<dyn Observer>>,
    /// What it has not been told yet. Guards itself alone.
    untold: Mutex<VecDeque<events::End>>,
    hooks: Option<Arc<dyn Hooks>>,
    user: Option<Arc<dyn Debug + Send + Sync>>,
    gate: Gate,
    /// See `quick`.
    is_plain: bool,
}

/// The callbacks of the program that a pool serves.
#[derive(Debug, Default)]
pub(crate) struct Callbacks {
    pub(crate) dial: Option<Arc<dyn DialCallbacks>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
    /// What all of them are given; held until the last of them has returned.
    pub(crate) user: Option<Arc<dyn Debug + Send + Sync>>,
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
    pub(crate) is_patient: bool,
    pub(crate) token: Option<Arc<CancelToken>>,
    /// Who is to be answered; `None`: its caller waits, or nobody does.
    pub(crate) claim: Option<Arc<Claim>>,
    /// Names the borrower.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) mode: Mode,
    /// So many idle connections turned out to be unfit before it asked the pool (`quick`).
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

    /// The same between two dials.
    fn may_go_on(&self) -> Result<()> {
        if self.deadline.has_passed(clock::now()) {
            return Err(Error::timeout(Phase::Connecting, ""));
        }
        self.may_begin()
    }
}

impl Pool {
    pub(crate) fn new(options: Options, callbacks: Callbacks) -> Arc<Self> {
        static POOLS: AtomicU64 = AtomicU64::new(1);
        let runtime = runtime();
        runtime.pool_begins();
        let is_asked = |hooks: &Arc<dyn Hooks>| hooks.has(Hook::Reuse) || hooks.has(Hook::Release);
        let is_plain = options.are_plain()
            && callbacks.observer.is_none()
            && !callbacks.hooks.as_ref().is_some_and(is_asked);
        Arc::new(Self {
            state: Mutex::new(State::new(
                options.limits.clone(),
                options.keeping.clone(),
                options.fail_fast,
            )),
            dialer: Arc::new(Dialer {
                settings: options.dial.clone(),
                callbacks: callbacks.dial,
                cache: Cache::new(options.dns_cache),
                owner: POOLS.fetch_add(1, Relaxed),
                resolver: &runtime.resolver,
                names: &runtime.names,
            }),
            due: AtomicU64::new(Time::NEVER.nanos()),
            engine: Mutex::new(None),
            is_closed: AtomicBool::new(false),
            last_remote: Mutex::new(None),
            observer: callbacks.observer,
            untold: Mutex::default(),
            hooks: callbacks.hooks,
            user: callbacks.user,
            gate: Gate::new(),
            is_plain,
            generation: fork::generation(),
            options,
        })
    }

    /// The one way to the state.
    fn locked(&self) -> MutexGuard<'_, State<Owned<Conn>>> {
        self.must_be_ours();
        self.state.lock()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(SeqCst)
    }

    /// On a thread of the library: what may call the program, unless the pool has ended.
    pub(crate) fn within_gate(&self, work: impl FnOnce()) {
        self.gate.within(work);
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// How long a connection may be idle without being looked at the long way.
    pub(crate) fn idle_ms(&self) -> u32 {
        let timeout = self.options.keeping.idle_timeout;
        let ms = |timeout: Duration| u32::try_from(timeout.as_millis()).ok();
        timeout.and_then(ms).unwrap_or(u32::MAX)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn due(&self) -> Time {
        Time::from_nanos(self.due.load(SeqCst))
    }

    pub(crate) fn engine_if_running(&self) -> Option<Arc<Engine>> {
        self.must_be_ours();
        self.engine.lock().clone()
    }

    /// The one way to borrow: an idle connection that is fit, else a new one.
    pub(crate) fn borrow(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        options: &BorrowOptions,
    ) -> Result<Owned<Conn>> {
        let result = options
            .may_begin()
            .and_then(|()| self.borrow_from(destination, options))
            .and_then(|conn| self.unless_forked(conn));
        result.map_err(|error| error.of(format_args!("dial {destination}")))
    }

    /// A callback has forked, and this is the child.
    fn unless_forked(&self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        if let Err(error) = self.fail_if_inherited() {
            close_conn::discard(conn);
            return Err(error);
        }
        Ok(conn)
    }

    fn borrow_from(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        options: &BorrowOptions,
    ) -> Result<Owned<Conn>> {
        let mut standing = Standing::of(options);
        let mut asleep = Asleep::new(InLine {
            pool: self,
            options,
            destination,
            standing: &mut standing,
        });
        let mut taken = asleep.take()?;
        loop {
            let conn = match taken {
                Take::Dial(right, destination) => {
                    return self.dial(right, destination, &asleep.line);
                }
                Take::Reuse(conn) => match self.unfit(&conn) {
                    None => conn,
                    Some(cause) => {
                        taken = asleep.take_another(conn, cause)?;
                        continue;
                    }
                },
                Take::Refused(refusal) => return Err(refusal.into()),
                Take::Wait => unreachable!("the line waits itself"),
            };
            match self.lend_reused(conn, options) {
                Ok(conn) => return Ok(conn),
                Err(NotLent::Refused(conn)) => {
                    taken = asleep.take_another(conn, CloseCause::Hook)?
                }
                Err(NotLent::Failed(error)) => return Err(error),
            }
        }
    }

    /// One transition: the change under the lock, its effects after it.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut State<Owned<Conn>>, Time, &mut Effects<Owned<Conn>>) -> R,
    ) -> R {
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let mut state = self.locked();
        let result = change(&mut state, now, &mut effects);
        self.look_by(state.next_look());
        drop(state);
        self.apply(effects);
        result
    }

    /// Why an idle connection must not be handed out.
    fn unfit(&self, conn: &Conn) -> Option<CloseCause> {
        if conn.has(conn::HUNG_UP) {
            return Some(CloseCause::StaleAtBorrow);
        }
        let liveness = conn.liveness();
        if liveness == Liveness::Watch && conn.has(conn::WATCHED) {
            return None;
        }
        match socket::peek(conn.fd(), conn.is_datagram()) {
            socket::Peek::Quiet => None,
            socket::Peek::Data => {
                (liveness == Liveness::Strict).then_some(CloseCause::DirtyAtBorrow)
            }
            socket::Peek::End | socket::Peek::Failed(_) => Some(CloseCause::StaleAtBorrow),
        }
    }

    fn reject(&self, conn: Owned<Conn>, cause: CloseCause) {
        let id = conn.destination_id();
        self.change(|state, now, effects| state.reject(id, conn, cause, now, effects));
    }

    /// The one way back.
    pub(crate) fn give_back(self: &Arc<Self>, mut conn: Owned<Conn>) {
        let mut fate = self.fate(&conn);
        if fate == Fate::Keep && self.has_hook(Hook::Release) && self.may_be_kept(&conn) {
            let Some((back, is_kept)) = self.run_on_release(conn) else {
                return;
            };
            conn = back;
            fate = match self.fate(&conn) {
                Fate::Keep if !is_kept => Fate::Close(CloseCause::Hook),
                fate => fate,
            };
        }
        if fate == Fate::Keep {
            self.watch(&conn);
            conn.let_go_of_token();
            hints::comes_next(&conn);
        }
        self.end_borrow(conn.destination_id(), conn, fate);
    }

    /// What the state will ask for under its lock, as far as it can be known before.
    fn may_be_kept(&self, conn: &Owned<Conn>) -> bool {
        !self.is_closed() && conn.unfit().is_none() && conn.retire_at() > clock::now_coarse()
    }

    fn fate(&self, conn: &Owned<Conn>) -> Fate {
        let is_foreign = !owners::is_owner(conn.raw_fd(), conn.place())
            || (self.options.verify_release && !conn.is_still_its_socket());
        Fate::Close(if is_foreign {
            CloseCause::ForeignFd
        } else if conn.has(conn::DISCARDED | conn::CUT) {
            CloseCause::Discarded
        } else if conn.has(conn::FAILED) {
            CloseCause::Failed
        } else if conn.has(conn::HUNG_UP) {
            CloseCause::PeerClosedAtGiveBack
        } else if conn.is_worn() {
            CloseCause::MaxUses
        } else {
            return Fate::Keep;
        })
    }

    fn end_borrow(&self, id: DestinationId, conn: Owned<Conn>, fate: Fate) {
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let lent = self.is_observed().then(|| Lent::of(&conn));
        let mut state = self.locked();
        let was_leaked = conn.has(conn::LEAKED);
        let is_kept = state.give_back(id, conn, fate, now, &mut effects);
        self.look_by(state.next_look());
        drop(state);
        wake(&mut effects);
        if let Some(lent) = lent {
            if was_leaked {
                self.tell_back(EventKind::LeakReturned, &lent);
            }
            if is_kept {
                self.tell_back(EventKind::Released, &lent);
            }
        }
        self.apply(effects);
    }

    /// Under the state's lock: the engine has to look at `due`, if not earlier.
    fn look_by(&self, due: Time) {
        if due < self.due() {
            self.due.store(due.nanos(), SeqCst);
            if let Some(engine) = self.engine_if_running() {
                engine.look_by(due);
            }
        }
    }

    /// Closes the longest idle connection, to give its descriptor back to the system; false if none is idle.
    pub(crate) fn close_longest_idle(&self) -> bool {
        self.change(|state, now, effects| state.close_longest_idle(now, effects))
    }

    pub(crate) fn close_idle(&self) {
        self.change(|state, now, effects| state.close_idle(CloseCause::Evicted, now, effects));
    }

    /// Ends the pool: what is idle is closed, dials in flight end, what is borrowed is closed when it comes back.
    pub(crate) fn close(&self) {
        self.end();
        if self.is_inherited() {
            return;
        }
        let engine = self.engine.lock().take();
        if let Some(engine) = engine {
            engine.schedule().end(self);
            runtime().engines.leave(self, engine);
        }
        self.gate.shut();
        self.tell_untold();
        runtime().pool_ended();
    }

    pub(crate) fn conn_count(&self) -> u32 {
        self.locked().conn_count()
    }

    pub(crate) fn idle_count(&self, address: Option<&Address>) -> u32 {
        self.counted().idle_count(address)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counted().stats()
    }

    /// The state with exact numbers.
    fn counted(&self) -> MutexGuard<'_, State<Owned<Conn>>> {
        let mut state = self.locked();
        state.call_in_all();
        state
    }

    /// Wakes who was served, and closes what the pool let go of.
    fn apply(&self, mut effects: Effects<Owned<Conn>>) {
        if effects.wakes.is_empty() && effects.closes.is_empty() {
            return;
        }
        if Engine::is_this_thread() {
            return self.apply_in_background(effects);
        }
        wake(&mut effects);
        for (conn, cause) in effects.closes {
            close_conn::close(conn, cause);
        }
    }
}

fn wake(effects: &mut Effects<Owned<Conn>>) {
    effects.wakes.drain(..).for_each(|waker| waker.wake());
}

pub(crate) fn system_error(what: &str, error: &std::io::Error) -> Error {
    let errno = sys::errno(error);
    Error::new(
        Status::System,
        format!("{what}: {}", sys::errno_text(errno)),
    )
    .numbered(errno)
}

pub(crate) fn canceled() -> Error {
    Error::new(Status::Canceled, "canceled")
}
