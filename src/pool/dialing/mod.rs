//! One dial of a pool: until it is connected or its caller is served otherwise; then it goes on in
//! the background, for the next waiter or the shelf.
#![forbid(unsafe_code)]

pub(crate) mod permit;
mod session;
pub(crate) mod wait;

use std::os::fd::RawFd;

use crate::dial::caller::DialCaller;
use crate::dial::drive::connected::{ConnectedSocket, Dialed};
use crate::handle::Owned;
use crate::pool::callbacks::Hook;
use crate::pool::conn::{Conn, SocketInfo};
use crate::pool::dialing::permit::Permit;
use crate::pool::dialing::wait::Borrower;
use crate::pool::engine::task::Task;
use crate::pool::errors::canceled;
use crate::pool::lend::budget::Budget;
use crate::pool::lend::hand_over::NotLent;
use crate::pool::state::answer::{DialRight, LateBinding, Refusal};
use crate::pool::state::counters::CloseCause;
use crate::pool::transition::close_conn;
use crate::pool::{BorrowOptions, Mode, Pool};
use crate::sync::Arc;
use crate::sys::wake::{CancelToken, Wake};
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result, Status};

/// One dial of a pool, with what its caller allows it.
#[derive(Debug)]
pub(crate) struct Dialing {
    permit: Permit,
    waker: Arc<dyn Wake>,
    budget: Budget,
    mode: Mode,
    /// The caller's deadline is the pool's own, or later.
    blames_destination: bool,
    /// Nobody waits for it.
    is_orphaned: bool,
}

impl Dialing {
    pub(crate) fn new(
        pool: &Arc<Pool>,
        right: DialRight,
        destination: Arc<Destination>,
        options: &BorrowOptions,
        waker: Arc<dyn Wake>,
    ) -> Self {
        Self {
            permit: Permit::new(pool.clone(), right, destination, options.label.clone()),
            waker,
            budget: options.budget(),
            mode: options.mode,
            blames_destination: options.blames_destination,
            is_orphaned: false,
        }
    }

    /// Whether the destination is to blame when the deadline passes.
    pub(crate) fn blaming_destination(self, blames_destination: bool) -> Self {
        Self {
            blames_destination,
            ..self
        }
    }

    /// The dial is made ahead of need: no borrower is answered by it.
    pub(crate) fn for_nobody(self) -> Self {
        Self {
            is_orphaned: true,
            ..self
        }
    }

    /// What takes its time from now on is not the destination.
    pub(crate) fn stop_blaming_destination(&mut self) {
        self.blames_destination = false;
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        self.permit.pool()
    }

    pub(crate) fn destination(&self) -> &Arc<Destination> {
        self.permit.destination()
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.budget.deadline
    }

    pub(crate) fn token(&self) -> Option<&CancelToken> {
        self.budget.token.as_deref()
    }

    pub(crate) fn shared_token(&self) -> Option<Arc<CancelToken>> {
        self.budget.token.clone()
    }

    pub(crate) fn permit_mut(&mut self) -> &mut Permit {
        &mut self.permit
    }

    pub(crate) fn is_orphaned(&self) -> bool {
        self.is_orphaned
    }

    /// Which connections that are given back meanwhile the dial takes. None where `caller` may be
    /// inside a callback of the program, which it cannot leave.
    pub(crate) fn late_binding(
        &self,
        borrower: &Borrower<'_>,
        caller: &impl DialCaller,
    ) -> LateBinding {
        let dialer = &self.pool().dialer;
        if dialer.may_block_in_callback(caller) {
            LateBinding::Off
        } else {
            borrower.late_binding()
        }
    }

    /// On the list of dials in flight; what became idle since the right was given.
    pub(crate) fn begin(&self, takes: LateBinding) -> Result<Option<Owned<Conn>>> {
        let (right, waker) = (self.permit.right(), self.waker.clone());
        let begun = self
            .pool()
            .change(|state, now, effects| state.start_dial(right, takes, waker, now, effects));
        begun.map_err(Error::from)
    }

    /// The connection that the caller was given. A dial that was canceled takes none.
    pub(crate) fn answer(&self) -> Option<Owned<Conn>> {
        if self.is_orphaned || self.ended().is_some() {
            return None;
        }
        self.pool().locked().take_dial_answer(self.permit.right())
    }

    /// Closes that connection. Another one that is idle by now; if there is none, the dial goes on
    /// and takes what is given back.
    pub(crate) fn take_another(&self, conn: Owned<Conn>, cause: CloseCause) -> Option<Owned<Conn>> {
        let (pool, right) = (self.pool(), self.permit.right());
        pool.reject(conn, cause);
        pool.change(|state, now, effects| state.resume_late_binding(right, now, effects))
    }

    /// Makes that connection, or another one, the caller's. `None`: none was fit, and the dial goes
    /// on.
    pub(crate) fn lend(
        &self,
        mut conn: Owned<Conn>,
        options: &BorrowOptions,
    ) -> Option<Result<Owned<Conn>>> {
        loop {
            conn = match self.pool().lend_reused(conn, options) {
                Ok(conn) => return Some(Ok(conn)),
                Err(NotLent::Failed(error)) => return Some(Err(error)),
                Err(NotLent::Unfit(unfit, cause)) => self.take_another(unfit, cause)?,
            };
        }
    }

    pub(crate) fn connected(self, dialed: Dialed) -> Result<Owned<Conn>> {
        match dialed {
            Dialed::Socket(socket) => self.connected_socket(socket),
            Dialed::Session(session) => self.opened_session(session),
        }
    }

    fn connected_socket(self, dialed: ConnectedSocket) -> Result<Owned<Conn>> {
        let pool = self.pool().clone();
        if let Err(error) = pool.fail_if_inherited() {
            return Err(self.failed(error));
        }
        if pool.has_hook(Hook::Open) {
            if let Some(error) = pool.why_no_hook(&self.budget) {
                return Err(self.failed(error));
            }
        }
        let info = SocketInfo {
            identity: dialed.identity,
            remote: dialed.remote.map(|remote| pool.shared_remote(remote)),
            retire_at: pool.draw_lifetime(),
            is_datagram: dialed.is_datagram,
            is_nonblocking: dialed.is_nonblocking,
        };
        let id = self.permit.right().destination;
        match pool.register(dialed.fd, id, self.destination().clone(), info) {
            Ok(conn) => {
                pool.watch(&conn);
                self.opened(conn)
            }
            Err((_, error)) => Err(self.failed(error)),
        }
    }

    pub(super) fn opened(self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        let pool = self.pool().clone();
        let mode = if self.is_orphaned {
            Mode::AsThePool
        } else {
            conn.begin_borrow(false);
            self.mode
        };
        if let Err(error) = pool.set_mode(&conn, mode) {
            close_conn::discard(conn);
            return Err(self.failed(error));
        }
        if pool.has_hook(Hook::Open) {
            self.stop_late_binding();
        }
        match pool.run_hook(Hook::Open, conn, &self.budget) {
            Ok(conn) => match self.refresh_opened(conn) {
                Ok(conn) => self.permit.used_for(conn),
                Err(error) => Err(self.failed(error)),
            },
            Err((conn, error)) => {
                if let Some(conn) = conn {
                    close_conn::discard(conn);
                }
                Err(self.failed(error))
            }
        }
    }

    pub(crate) fn failed(self, error: Error) -> Error {
        let is_to_blame = self.is_destinations_fault(&error);
        self.permit.failed(&error, is_to_blame);
        error
    }

    /// What makes further dials fail at once: never a caller's own impatience, nor a shortage here.
    fn is_destinations_fault(&self, error: &Error) -> bool {
        match error.status {
            Status::Connect | Status::Resolve | Status::Callback => true,
            Status::Timeout => self.blames_destination,
            _ => false,
        }
    }

    /// The caller has been served otherwise: `task` goes on with the dial, for no borrower.
    pub(crate) fn orphan_to(&mut self, task: &Arc<Task>) {
        self.orphan();
        self.waker = task.clone();
    }

    /// Nobody waits for it any more. What it was given and nobody fetched goes to the next.
    pub(crate) fn orphan(&mut self) {
        self.budget.token = None;
        self.budget.reply = None;
        self.is_orphaned = true;
        self.permit.goes_to_background();
        self.stop_late_binding();
    }

    fn stop_late_binding(&self) {
        if !self.pool().is_inherited() {
            let right = self.permit.right();
            self.pool()
                .change(|state, now, effects| state.stop_late_binding(right, now, effects));
        }
    }

    /// It has been given a connection.
    pub(crate) fn is_answered(&self) -> bool {
        !self.is_orphaned
            && !self.pool().is_inherited()
            && self.pool().locked().is_dial_answered(self.permit.right())
    }
}

impl Pool {
    /// Why a dial must end now, if it must.
    pub(crate) fn why_dial_ends(&self, token: Option<&CancelToken>) -> Option<Error> {
        if let Err(error) = self.fail_if_inherited() {
            return Some(error);
        }
        if self.is_closed() {
            return Some(Refusal::PoolClosed.into());
        }
        token.filter(|token| token.has_fired()).map(|_| canceled())
    }
}

impl DialCaller for Dialing {
    fn ended(&self) -> Option<Error> {
        self.pool().why_dial_ends(self.token())
    }

    fn shared_waker(&self) -> Arc<dyn Wake> {
        self.waker.clone()
    }

    fn label(&self) -> &str {
        self.permit.label()
    }

    fn is_pooled(&self, number: RawFd) -> bool {
        Conn::owner_of(number).is_some()
    }

    fn dials_by_callback_here(&self) -> bool {
        false
    }

    fn make_room(&self) -> bool {
        self.pool().close_longest_idle()
    }
}
