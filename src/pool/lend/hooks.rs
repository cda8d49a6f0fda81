//! The program's hooks: on_open, on_reuse and on_release, each with the connection it is about.
//!
//! The first two take their time from the dial's, on_release has its own: reads and writes in them
//! have that deadline, and the dial's token. When the time is over, the token fires or the pool
//! that dials is closed, the engine shuts the socket down under them, so that I/O on the descriptor
//! itself ends too.
#![forbid(unsafe_code)]

use std::fmt::Debug;

use crate::handle::{Kept, Owned, SlotId};
use crate::pool::callbacks::Hook;
use crate::pool::conn::sleepers::sleepers;
use crate::pool::conn::{io, Conn};
use crate::pool::engine::client::Client;
use crate::pool::engine::task::{Next, Pollable, Task, Thread};
use crate::pool::errors::{canceled, forked_inside_callback, no_engine};
use crate::pool::state::answer::Refusal;
use crate::pool::Reply;
use crate::pool::{conn, Pool};
use crate::sync::{Arc, Mutex};
use crate::sys::wake::CancelToken;
use crate::sys::{clock, socket};
use crate::values::clock::Deadline;
use crate::values::error::{Error, Phase, Result, Status};

/// The time that a dial leaves its hooks.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) deadline: Deadline,
    pub(crate) token: Option<Arc<CancelToken>>,
    /// Of an asynchronous dial.
    pub(crate) reply: Option<Arc<dyn Reply>>,
}

impl Budget {
    fn is_canceled(&self) -> bool {
        let (token, reply) = (self.token.as_ref(), self.reply.as_ref());
        token.is_some_and(|token| token.has_fired())
            || reply.is_some_and(|reply| reply.is_abandoned())
    }
}

/// What a hook has left of a connection, and why the dial fails by it. No connection: the process
/// was forked inside it, and this is the child.
pub(crate) type Failed = (Option<Owned<Conn>>, Error);

impl Pool {
    pub(crate) fn has_hook(&self, hook: Hook) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| hooks.has(hook))
    }

    /// Why a hook must not begin, or has to end.
    pub(crate) fn why_no_hook(&self, budget: &Budget) -> Option<Error> {
        if budget.is_canceled() {
            Some(canceled())
        } else if self.is_closed() {
            Some(Refusal::PoolClosed.into())
        } else if budget.deadline.has_passed(clock::now()) {
            Some(Error::timeout(Phase::Opening, ""))
        } else {
            None
        }
    }

    /// Runs on_open or on_reuse, for one who has asked `why_no_hook`.
    pub(crate) fn run_hook(
        self: &Arc<Self>,
        hook: Hook,
        conn: Owned<Conn>,
        budget: &Budget,
    ) -> std::result::Result<Owned<Conn>, Failed> {
        if !self.has_hook(hook) {
            return Ok(conn);
        }
        let chaperone = Chaperone::begin(self, &conn, HookLimit::OfDial(budget.clone()));
        if chaperone.task.is_none() && self.is_closed() {
            // A moment ago: it has no engine any more, and nothing would end the hook.
            return Err((Some(conn), Refusal::PoolClosed.into()));
        }
        conn.set_deadlines(Some(budget.deadline), Some(budget.deadline));
        conn.set_token(budget.token.clone());
        let (conn, result) = self.call_hook(hook, conn);
        let Some(conn) = conn else {
            return Err((None, forked_inside_callback()));
        };
        let ended = chaperone.end();
        conn.set_deadlines(Some(Deadline::NEVER), Some(Deadline::NEVER));
        conn.set_token(None);
        match ended.map_or(result, Err) {
            Ok(()) => Ok(conn),
            Err(error) => Err((Some(conn), error)),
        }
    }

    /// Runs on_release; the connection, and what the hook says of it. `None`: this is a child.
    pub(crate) fn run_on_release(
        self: &Arc<Self>,
        conn: Owned<Conn>,
    ) -> Option<(Owned<Conn>, ReleaseVerdict)> {
        let deadline = Deadline::from_timeout(clock::now(), self.options.hook_timeout);
        let chaperone = Chaperone::begin(self, &conn, HookLimit::Own(deadline));
        conn.set_deadlines(Some(deadline), Some(deadline));
        conn.set_token(None);
        let (conn, result) = self.call_hook(Hook::Release, conn);
        let conn = conn?;
        let is_late = chaperone.end().is_some();
        conn.set_deadlines(Some(Deadline::NEVER), Some(Deadline::NEVER));
        Some((conn, release_verdict(result.is_ok(), is_late)))
    }

    fn call_hook(
        self: &Arc<Self>,
        hook: Hook,
        conn: Owned<Conn>,
    ) -> (Option<Owned<Conn>>, Result<()>) {
        let Some(hooks) = &self.hooks else {
            return (Some(conn), Ok(()));
        };
        let (slot, fd) = (conn.slot_id(), conn.raw_fd());
        conn.mark(conn::IN_HOOK);
        let handle = conn.lend_out();
        let result = hooks.call(hook, handle, fd);
        if self.is_inherited() {
            return (None, result);
        }
        let back = Conn::table().take_back(handle, |busy| io::kick(busy, slot));
        let Ok(conn) = back else {
            unreachable!("closing and detaching are refused inside a hook");
        };
        // Another thread that the program let use it has left by now.
        conn.unmark(conn::IN_HOOK | conn::CLOSING);
        // The borrower knows it by the handle that its hook has seen.
        conn.mark(conn::SHOWN);
        (Some(conn), result)
    }
}

/// What on_release says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseVerdict {
    Keep,
    Refuse,
    /// Its time was over before it returned.
    Late,
}

fn release_verdict(is_kept: bool, is_late: bool) -> ReleaseVerdict {
    match (is_late, is_kept) {
        (true, _) => ReleaseVerdict::Late,
        (false, true) => ReleaseVerdict::Keep,
        (false, false) => ReleaseVerdict::Refuse,
    }
}

/// What ends a hook.
#[derive(Debug)]
enum HookLimit {
    /// The dial's deadline and token, and the end of the pool.
    OfDial(Budget),
    /// Its own time alone.
    Own(Deadline),
}

impl HookLimit {
    fn deadline(&self) -> Deadline {
        match self {
            Self::OfDial(budget) => budget.deadline,
            Self::Own(deadline) => *deadline,
        }
    }

    fn token(&self) -> Option<&Arc<CancelToken>> {
        match self {
            Self::OfDial(budget) => budget.token.as_ref(),
            Self::Own(_) => None,
        }
    }

    fn why_end(&self, pool: &Pool) -> Option<Error> {
        match self {
            Self::OfDial(budget) => pool.why_no_hook(budget),
            Self::Own(deadline) => deadline
                .has_passed(clock::now())
                .then(|| Error::timeout(Phase::Opening, "")),
        }
    }
}

#[derive(Debug, Default)]
struct HookEnd {
    is_over: bool,
    /// Why the socket was shut down.
    error: Option<Error>,
}

#[derive(Debug)]
struct HookRun {
    pool: Arc<Pool>,
    slot: SlotId,
    limit: HookLimit,
    /// Guards the end of the hook: nothing is shut down after it.
    end: Mutex<HookEnd>,
}

impl HookRun {
    /// Why no engine is there that would end the hook in time. One whose pool was closed a moment
    /// ago has taken its engine along.
    fn why_alone(&self) -> Error {
        if self.pool.is_closed() {
            Refusal::PoolClosed.into()
        } else {
            no_engine()
        }
    }

    fn why_end(&self) -> Option<Error> {
        self.limit.why_end(&self.pool)
    }
}

/// The task's part of it.
#[derive(Debug)]
struct HookWatch(Arc<HookRun>);

impl Pollable for HookWatch {
    fn poll(&self, task: &Arc<Task>, _: Thread) -> Next {
        let Self(run) = self;
        let mut end = run.end.lock();
        if end.is_over {
            return Next::Done;
        }
        let alone = || task.is_broken().then(|| run.why_alone());
        let Some(error) = run.why_end().or_else(alone) else {
            return Next::At(run.limit.deadline());
        };
        if let Some(conn) = Conn::table().pin_slot(run.slot) {
            // Before: whoever sees the end of stream must see why.
            conn.mark(match error.status {
                Status::PoolClosed => conn::ABORTED,
                Status::Canceled => conn::CANCELED,
                _ => conn::LATE,
            });
            if conn.has_own_socket_at(run.slot) {
                let _ = socket::shut_down(conn.fd());
            }
        }
        sleepers().wake(run.slot);
        end.error = Some(error);
        Next::Done
    }

    fn is_awaited(&self) -> bool {
        true
    }

    /// The hook goes on without a chaperone.
    fn fail(&self, _: Error) {}

    fn client(&self) -> &dyn Client {
        &*self.0.pool
    }

    fn abandon(&self, queue: usize) -> bool {
        match &self.0.limit {
            HookLimit::OfDial(Budget {
                reply: Some(reply), ..
            }) => reply.abandon_if_for(queue),
            _ => false,
        }
    }
}

/// Sees to it that a hook ends in time.
struct Chaperone {
    run: Arc<HookRun>,
    /// `None`: there is no engine that works; then only what the hook does by the library ends in
    /// time.
    task: Option<Arc<Task>>,
}

impl Chaperone {
    fn begin(pool: &Arc<Pool>, conn: &Owned<Conn>, limit: HookLimit) -> Self {
        let run = Arc::new(HookRun {
            pool: pool.clone(),
            slot: conn.slot_id(),
            limit,
            end: Mutex::default(),
        });
        let engine = pool.engine();
        let working = engine.filter(|engine| !engine.reactor().is_broken());
        let task = working.map(|engine| {
            let task = Task::new(engine.reactor(), HookWatch(run.clone()));
            task.start(run.limit.deadline());
            if let Some(token) = run.limit.token() {
                // Without a descriptor for it, the token ends reads and writes alone.
                let _ = task.add_token(token);
            }
            task
        });
        Self { run, task }
    }

    /// The hook has returned; why it had to end, if it had.
    fn end(self) -> Option<Error> {
        let mut end = self.run.end.lock();
        end.is_over = true;
        let error = end.error.take().or_else(|| self.run.why_end());
        drop(end);
        if let Some(task) = self.task {
            task.poll();
        }
        error
    }
}
