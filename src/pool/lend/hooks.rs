//! The program's hooks: on_open, on_reuse, on_release and on_idle, each with the connection it is
//! about.
//!
//! The first two take their time from the dial's, the others have their own: reads and writes in
//! them have that deadline, and the dial's token. When the time is over, the token fires or the
//! pool that dials is closed, the engine shuts the socket down under them, so that I/O on the
//! descriptor itself ends too.
#![forbid(unsafe_code)]

use crate::handle::{Kept, Owned};
use crate::pool::callbacks::Hook;
use crate::pool::conn::{self, io, Conn};
use crate::pool::errors::forked_inside_callback;
use crate::pool::lend::budget::Budget;
use crate::pool::lend::chaperone::{Chaperone, HookLimit};
use crate::pool::state::answer::Refusal;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::clock::Deadline;
use crate::values::error::{Error, Result};

/// What a hook has left of a connection, and why the dial fails by it. No connection: the process
/// was forked inside it, and this is the child.
pub(crate) type Failed = (Option<Owned<Conn>>, Error);

impl Pool {
    pub(crate) fn has_hook(&self, hook: Hook) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| hooks.has(hook))
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
        let limit = HookLimit::OfDial(budget.clone());
        let chaperone = Chaperone::begin(self, conn.slot_id(), limit);
        if !chaperone.has_engine() && self.is_closed() {
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

    /// Runs on_release or on_idle, which have a time of their own; the connection, and what the
    /// hook says of it. `None`: this is a child.
    pub(crate) fn run_own_hook(
        self: &Arc<Self>,
        hook: Hook,
        conn: Owned<Conn>,
    ) -> Option<(Owned<Conn>, HookVerdict)> {
        let deadline = Deadline::from_timeout(clock::now(), self.options.hook_timeout);
        let chaperone = Chaperone::begin(self, conn.slot_id(), HookLimit::Own(deadline));
        if !chaperone.has_engine() && self.is_closed() {
            // A moment ago: nothing would end the hook, and the connection is closed anyhow.
            return Some((conn, HookVerdict::Keep));
        }
        conn.set_deadlines(Some(deadline), Some(deadline));
        conn.set_token(None);
        let (conn, result) = self.call_hook(hook, conn);
        let conn = conn?;
        let is_late = chaperone.end().is_some();
        conn.set_token(None);
        conn.set_deadlines(Some(Deadline::NEVER), Some(Deadline::NEVER));
        Some((conn, verdict_of(result.is_ok(), is_late)))
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

/// What on_release or on_idle says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookVerdict {
    Keep,
    Refuse,
    /// Its time was over before it returned.
    Late,
}

fn verdict_of(is_kept: bool, is_late: bool) -> HookVerdict {
    match (is_late, is_kept) {
        (true, _) => HookVerdict::Late,
        (false, true) => HookVerdict::Keep,
        (false, false) => HookVerdict::Refuse,
    }
}
