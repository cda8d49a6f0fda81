//! How a pool lets go of what is borrowed: drain waits for it, abort cuts it, evict dooms it.
#![forbid(unsafe_code)]

use crate::handle::Kept;
use crate::pool::conn::sleepers::sleepers;
use crate::pool::conn::{self, Conn};
use crate::pool::runtime::runtime;
use crate::pool::state::held::NOWHERE;
use crate::pool::Pool;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::Arc;
use crate::sys::clock;
use crate::sys::wake::{Parker, Wake};
use crate::values::address::Address;
use crate::values::clock::Deadline;

impl Pool {
    /// Nothing is handed out or kept any more; `end` tells who waits or dials.
    pub(crate) fn mark_closed(&self) {
        let mut state = self.locked();
        state.begin_close();
        self.is_closed.store(true, SeqCst);
        drop(state);
    }

    /// Nothing is handed out or kept any more; who waits or dials ends.
    pub(crate) fn end(&self) {
        self.mark_closed();
        self.change_in_parts(|state, now, effects| state.close(now, effects));
        // Hooks that are running, and dials that have not been told so far.
        if let Some(engine) = self.engine_if_running() {
            engine.reactor().wake_tasks_of(self);
        }
    }

    /// Ends the pool: what is idle is closed, dials in flight end, what is borrowed is closed when
    /// it comes back.
    pub(crate) fn close(self: &Arc<Self>) {
        self.end();
        if self.is_inherited() {
            return;
        }
        let engine = self.engine.lock().take();
        if let Some(engine) = engine {
            engine.reactor().poll_tasks_of(&**self);
            runtime().engines.leave(&**self, engine);
        }
        self.gate.shut();
        self.close_unclosed();
        self.emit_deferred();
        runtime().pool_ended();
    }

    /// Ends the pool and waits for what is borrowed; how many are still out.
    pub(crate) fn drain(&self, until: Deadline) -> u32 {
        self.end();
        let parker = Arc::new(Parker::new(false));
        loop {
            let waker: Arc<dyn Wake> = parker.clone();
            let (out, ticket) = self.locked().wait_until_returned(&waker);
            let is_over = out == 0 || until.has_passed(clock::now());
            if !is_over {
                // Without a token it cannot fail.
                let _ = parker.park(until, None);
            }
            self.locked().stop_waiting_until_returned(ticket);
            if is_over {
                return out;
            }
        }
    }

    /// Ends the I/O of every borrower.
    pub(crate) fn abort(self: &Arc<Self>) {
        self.change(|state, _, _| {
            state.revoke_all();
            self.mark_aborted();
        });
        // Those of an earlier abort, which may not be back yet, are cut once more.
        Conn::table().each(|conn| {
            if conn.has(conn::ABORTED) && Arc::ptr_eq(conn.pool(), self) {
                let slot = conn.slot_id();
                conn.cut_at(slot);
                sleepers().wake(slot);
            }
        });
    }

    /// Closes what is idle at one address, and what is borrowed when it comes back; `None`:
    /// everywhere.
    pub(crate) fn evict(&self, address: Option<&Address>) {
        self.change_in_parts(|state, now, effects| state.evict(address, now, effects));
    }

    /// Marks what is borrowed now as aborted. Under the state's lock, so that nothing of it is kept
    /// unmarked.
    fn mark_aborted(self: &Arc<Self>) {
        Conn::table().each(|conn| {
            if conn.node() == NOWHERE && Arc::ptr_eq(conn.pool(), self) {
                conn.mark(conn::ABORTED);
            }
        });
    }
}
