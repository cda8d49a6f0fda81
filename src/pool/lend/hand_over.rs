//! The last steps before a connection is its borrower's: the descriptor's mode, the hooks, the
//! loan.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::handle::Owned;
use crate::pool::callbacks::Hook;
use crate::pool::conn::{Conn, FAILED};
use crate::pool::errors::system_error;
use crate::pool::lend::budget::Budget;
use crate::pool::lend::sessions::refresh_if_replaced;
use crate::pool::state::answer::Disposition;
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::{BorrowOptions, Mode, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::error::{Error, Result, Status};

/// Why a connection from the pool did not become the borrower's.
#[derive(Debug)]
pub(crate) enum NotLent {
    /// It is dead or dirty, or on_reuse refused it: it is to be closed, and another one may do.
    Unfit(Owned<Conn>, CloseCause),
    /// The borrow fails.
    Failed(Error),
}

impl BorrowOptions {
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            deadline: self.deadline,
            token: self.token.clone(),
            reply: self.reply.clone(),
        }
    }
}

impl Pool {
    pub(crate) fn set_mode(&self, conn: &Conn, mode: Mode) -> Result<()> {
        let set = match mode {
            Mode::AsThePool => conn.set_mode(self.options.nonblocking),
            Mode::Nonblocking => conn.force_mode(true),
            Mode::Blocking => conn.force_mode(false),
        };
        set.map_err(|error| system_error("fcntl", &error))
    }

    /// Makes a connection from the pool its borrower's, if it is fit.
    pub(crate) fn lend_reused(
        self: &Arc<Self>,
        conn: Owned<Conn>,
        options: &BorrowOptions,
    ) -> std::result::Result<Owned<Conn>, NotLent> {
        let asks = self.asks_on_reuse(&conn);
        self.lend_if_fit(conn, options, asks)
    }

    /// As `lend_reused`, on a thread on which no code of the program may run, for one who has found
    /// that on_reuse has no say. (A moment later it might have.)
    pub(crate) fn lend_unasked(
        self: &Arc<Self>,
        conn: Owned<Conn>,
        options: &BorrowOptions,
    ) -> std::result::Result<Owned<Conn>, NotLent> {
        self.lend_if_fit(conn, options, false)
    }

    /// The one place that a reused connection comes through, but for the fast path.
    fn lend_if_fit(
        self: &Arc<Self>,
        conn: Owned<Conn>,
        options: &BorrowOptions,
        asks: bool,
    ) -> std::result::Result<Owned<Conn>, NotLent> {
        if let Some(cause) = conn.find_unfit() {
            return Err(NotLent::Unfit(conn, cause));
        }
        if asks {
            if let Some(error) = self.why_no_hook(&options.budget()) {
                self.settle_in(conn);
                return Err(NotLent::Failed(error));
            }
        }
        conn.note_idle_before(clock::now_coarse().nanos());
        conn.begin_borrow(true);
        if let Err(error) = self.set_mode(&conn, options.mode) {
            self.end_borrow(
                conn.destination_id(),
                conn,
                Disposition::Close(CloseCause::Failed),
            );
            return Err(NotLent::Failed(error));
        }
        let conn = if asks {
            self.reuse(conn, options)?
        } else {
            conn
        };
        self.begin_loan(&conn, options.label.as_ref());
        self.mark_wanted(&conn);
        self.locked().count_reuse();
        self.emit_reused(&conn, options.label());
        Ok(conn)
    }

    /// on_reuse has a say: the connection has been idle for long enough.
    pub(crate) fn asks_on_reuse(&self, conn: &Owned<Conn>) -> bool {
        let idle_for = || {
            clock::now_coarse()
                .nanos()
                .saturating_sub(conn.idle_since())
        };
        self.has_hook(Hook::Reuse)
            && match self.options.on_reuse_after {
                Some(Duration::ZERO) => true,
                Some(after) => Duration::from_nanos(idle_for()) >= after,
                None => false,
            }
    }

    fn reuse(
        self: &Arc<Self>,
        conn: Owned<Conn>,
        options: &BorrowOptions,
    ) -> std::result::Result<Owned<Conn>, NotLent> {
        // The hook's time ends the socket that the session has.
        if refresh_if_replaced(&conn).is_err() {
            return Err(NotLent::Unfit(conn, CloseCause::Failed));
        }
        match self.run_hook(Hook::Reuse, conn, &options.budget()) {
            // Whatever it says: a read or write of its own has failed.
            Ok(conn) if conn.has(FAILED) => Err(NotLent::Unfit(conn, CloseCause::Hook)),
            // It may have reconnected.
            Ok(conn) if refresh_if_replaced(&conn).is_err() => {
                Err(NotLent::Unfit(conn, CloseCause::Failed))
            }
            Ok(conn) => {
                self.watch(&conn);
                conn.forget_what_was_read();
                Ok(conn)
            }
            Err((Some(conn), error)) if error.status == Status::Callback => {
                Err(NotLent::Unfit(conn, CloseCause::Hook))
            }
            Err((conn, error)) => {
                if let Some(conn) = conn {
                    self.end_borrow(
                        conn.destination_id(),
                        conn,
                        Disposition::Close(CloseCause::Hook),
                    );
                }
                Err(NotLent::Failed(error))
            }
        }
    }

    /// One that was dialed for this borrower.
    pub(crate) fn lend_dialed(
        self: &Arc<Self>,
        conn: Owned<Conn>,
        options: &BorrowOptions,
    ) -> Owned<Conn> {
        self.begin_loan(&conn, options.label.as_ref());
        self.mark_wanted(&conn);
        conn
    }
}
