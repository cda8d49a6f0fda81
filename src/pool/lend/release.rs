//! on_release in the background: vcp_conn_close does not wait for it.
//!
//! The connection stays borrowed until the hook has ended, for the limits and for drain. The pool's
//! close does not wait for the hook either: what comes back to a closed pool is closed.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::conn::Conn;
use crate::pool::runtime::runtime;
use crate::pool::state::answer::Disposition;
use crate::pool::state::held::Held;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::thread_pool::helpers::HelperLane;

impl Pool {
    /// Leaves a connection to on_release on a helper thread. Where no thread can be had, the hook
    /// runs on this one.
    pub(super) fn release_in_background(self: &Arc<Self>, conn: Owned<Conn>) {
        // Its borrower has given it back: what takes its time from here on is no leak.
        self.end_loan(&conn);
        self.locked().begin_release();
        let pool = self.clone();
        let job = move || pool.finish_release(conn);
        let submitted = runtime().helpers.submit(HelperLane::Release, Box::new(job));
        if let Err((job, _)) = submitted {
            job();
        }
    }

    fn finish_release(self: &Arc<Self>, conn: Owned<Conn>) {
        // A callback of another job has forked, and this is the child.
        if self.is_inherited() {
            return;
        }
        let asked = if self.gate.is_open() && self.asks_on_release(&conn) {
            self.ask_on_release(conn)
        } else {
            let disposition = self.disposition_as_told(&conn);
            Some((conn, disposition))
        };
        // `None`: this is a child.
        if asked.is_some() {
            self.locked().end_release();
            self.finish_within_gate(asked);
        }
    }

    /// Events are emitted until the pool is closed.
    fn finish_within_gate(self: &Arc<Self>, mut asked: Option<(Owned<Conn>, Disposition)>) {
        self.gate.within(|| {
            if let Some((conn, disposition)) = asked.take() {
                self.finish_borrow(conn, disposition);
            }
        });
        if let Some((conn, disposition)) = asked {
            self.end_loan(&conn);
            self.change_in_background(|state, now, effects| {
                state.give_back(conn.destination_id(), conn, disposition, now, effects)
            });
        }
    }
}
