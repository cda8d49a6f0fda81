//! One dial of a pool: in its caller's thread, until it is connected or the caller is served otherwise; then it goes on in the
//! background, for the next waiter or the shelf.
#![forbid(unsafe_code)]

use super::conn::{Conn, Facts};
use super::permit::Permit;
use super::process::process;
use super::shelf::Held;
use super::state::answer::{DialRight, Fate, Meanwhile, Refusal};
use super::wait::{InLine, Waker};
use super::{canceled, Ask, Pool};
use crate::dial::drive::{self, Caller, Dialed, Drive, Run};
use crate::handle::Owned;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::Arc;
use crate::sys::bell::{Bell, Token};
use crate::values::address::Destination;
use crate::values::error::{Error, Result, Status};

/// See the module.
#[derive(Debug)]
struct Dialing {
    permit: Permit,
    bell: Arc<Bell>,
    token: Option<Arc<Token>>,
    /// The caller's deadline is the pool's own, or later.
    is_patient: bool,
    /// Its caller was served otherwise.
    is_left: bool,
}

impl Pool {
    /// Dials, or takes what is given back meanwhile; the connection counts as borrowed. True if it was not dialed for this.
    pub(super) fn dial(
        self: &Arc<Self>,
        right: DialRight,
        destination: Arc<Destination>,
        line: &InLine<'_>,
    ) -> Result<(Owned<Conn>, bool)> {
        let ask = line.ask();
        let mut dialing = Dialing {
            is_patient: line.is_patient(),
            ..Dialing::new(self, right, destination, ask)
        };
        let blocks = self
            .dialer
            .may_block_in_callback(ask.deadline, ask.token.is_some());
        let takes = if blocks {
            Meanwhile::Nothing
        } else {
            line.takes_meanwhile()
        };
        let at_once = match dialing.begin(takes) {
            Ok(at_once) => at_once,
            Err(error) => return Err(dialing.failed(error)),
        };
        if let Some(conn) = at_once.and_then(|conn| dialing.fit_one(conn)) {
            return Ok((conn, true));
        }
        dialing.permit.begin();
        let mut run = drive::dial(dialing.destination(), &self.dialer, ask.deadline, &dialing);
        loop {
            if let Some(conn) = dialing.answer(&run) {
                match run {
                    Ok(Run::Left(drive)) => dialing.go_on_without_caller(drive),
                    Err(error) => drop(dialing.failed(error)),
                    Ok(Run::Connected(_)) => unreachable!("then it takes no other"),
                }
                return Ok((conn, true));
            }
            run = match run {
                Ok(Run::Connected(dialed)) => {
                    return dialing.connected(dialed).map(|conn| (conn, false))
                }
                // What it left for was unfit.
                Ok(Run::Left(drive)) => match dialing.ended() {
                    None => drive.run(&dialing),
                    Some(error) => return Err(dialing.failed(error)),
                },
                Err(error) => return Err(dialing.failed(error)),
            }
        }
    }

    /// Dials for nobody in particular; the connection counts as borrowed.
    pub(super) fn dial_ahead(
        self: &Arc<Self>,
        right: DialRight,
        destination: Arc<Destination>,
        ask: &Ask,
    ) -> Result<Owned<Conn>> {
        let mut dialing = Dialing::new(self, right, destination, ask);
        if let Err(error) = dialing.begin(Meanwhile::Nothing) {
            return Err(dialing.failed(error));
        }
        dialing.permit.begin();
        match drive::dial(dialing.destination(), &self.dialer, ask.deadline, &dialing) {
            Ok(Run::Connected(dialed)) => dialing.connected(dialed),
            Ok(Run::Left(_)) => unreachable!("it was not offered to anybody"),
            Err(error) => Err(dialing.failed(error)),
        }
    }

    /// A connection that was dialed for nobody is idle from now on, or the oldest waiter's.
    pub(super) fn settle_in(&self, conn: Owned<Conn>) {
        self.change(|state, now, effects| {
            state.settle_in(conn.destination_id(), conn, Fate::Keep, now, effects)
        });
    }
}

impl Dialing {
    fn new(pool: &Arc<Pool>, right: DialRight, destination: Arc<Destination>, ask: &Ask) -> Self {
        Self {
            permit: Permit::new(pool.clone(), right, destination, ask.label.clone()),
            bell: Arc::default(),
            token: ask.token.clone(),
            is_patient: ask.is_patient,
            is_left: false,
        }
    }

    fn pool(&self) -> &Arc<Pool> {
        self.permit.pool()
    }

    fn destination(&self) -> &Arc<Destination> {
        self.permit.destination()
    }

    /// On the list of dials in flight; what became idle since the right was given.
    fn begin(&self, takes: Meanwhile) -> Result<Option<Owned<Conn>>> {
        let (right, waker) = (self.permit.right(), Waker::Dial(self.bell.clone()));
        let begun = self
            .pool()
            .change(|state, now, effects| state.dial_begins(right, takes, waker, now, effects));
        begun.map_err(Error::from)
    }

    /// The connection that the caller was given, if it is fit. A dial that was canceled takes none.
    fn answer(&self, run: &Result<Run>) -> Option<Owned<Conn>> {
        if matches!(run, Ok(Run::Connected(_))) || self.ended().is_some() {
            return None;
        }
        let conn = self.pool().state.lock().dial_answer(self.permit.right())?;
        self.fit_one(conn)
    }

    /// That one, or another one that is idle by now; if none is fit the dial goes on, and takes what is given back.
    fn fit_one(&self, mut conn: Owned<Conn>) -> Option<Owned<Conn>> {
        let (pool, right) = (self.pool(), self.permit.right());
        loop {
            let Some(cause) = pool.unfit(&conn) else {
                return Some(conn);
            };
            pool.reject(conn, cause);
            conn =
                pool.change(|state, now, effects| state.dial_takes_again(right, now, effects))?;
        }
    }

    fn connected(self, dialed: Dialed) -> Result<Owned<Conn>> {
        let pool = self.pool().clone();
        if let Err(error) = pool.fail_if_inherited() {
            return Err(self.failed(error));
        }
        let facts = Facts {
            identity: dialed.identity,
            remote: dialed.remote.map(|remote| pool.shared_remote(remote)),
            retire_at: pool.draw_lifetime(),
            is_datagram: dialed.is_datagram,
            is_nonblocking: dialed.is_nonblocking,
        };
        let id = self.permit.right().destination;
        match pool.enlist(dialed.fd, id, self.destination().clone(), facts) {
            Ok(conn) => self.permit.used_for(conn),
            Err((_, error)) => Err(self.failed(error)),
        }
    }

    fn failed(self, error: Error) -> Error {
        let is_to_blame = self.is_destinations_fault(&error);
        self.permit.failed(&error, is_to_blame);
        error
    }

    /// What makes further dials fail at once: never a caller's own impatience, nor a shortage here.
    fn is_destinations_fault(&self, error: &Error) -> bool {
        match error.status {
            Status::Connect | Status::Resolve | Status::Callback => true,
            Status::Timeout => self.is_patient,
            _ => false,
        }
    }

    /// The rest of the dial on a helper thread. Without one it is given up: nobody waits for it.
    fn go_on_without_caller(mut self, drive: Box<Drive>) {
        self.token = None;
        self.is_left = true;
        let pool = self.pool().clone();
        self.permit.goes_to_background();
        let job = move || {
            pool.gate.within(|| self.end_in_background(*drive));
        };
        let _ = process().dialers.try_run(Box::new(job));
    }

    fn end_in_background(self, drive: Drive) {
        let pool = self.pool().clone();
        match drive.run(&self) {
            Ok(Run::Connected(dialed)) => {
                if let Ok(conn) = self.connected(dialed) {
                    pool.settle_in(conn);
                }
            }
            Ok(Run::Left(_)) => unreachable!("the caller left long ago"),
            Err(error) => {
                self.failed(error);
            }
        }
    }
}

impl Caller for Dialing {
    fn ended(&self) -> Option<Error> {
        if let Err(error) = self.pool().fail_if_inherited() {
            return Some(error);
        }
        if self.pool().is_closed.load(Acquire) {
            return Some(Refusal::PoolClosed.into());
        }
        self.token
            .as_ref()
            .filter(|token| token.has_fired())
            .map(|_| canceled())
    }

    fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    fn token(&self) -> Option<&Token> {
        self.token.as_deref()
    }

    fn leaves(&self) -> bool {
        !self.is_left
            && !self.pool().is_inherited()
            && self
                .pool()
                .state
                .lock()
                .is_dial_answered(self.permit.right())
    }

    fn make_room(&self) -> bool {
        self.pool().close_longest_idle()
    }
}
