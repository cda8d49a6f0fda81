//! The end of a dial that a driver has made: its session becomes a connection, or is ended.
//!
//! Nothing ends open_session early, so it may return when nobody wants its session any more. Then
//! the caller gets the error, and the session is kept for the next borrower: it counts as a dial
//! that succeeded. With an on_open hook, which would run after the time of its dial, it is ended.
//! Until it comes it counts against every limit.
#![forbid(unsafe_code)]

use crate::dial::caller::DialCaller;
use crate::dial::drive::open_session::OpenedSession;
use crate::handle::Owned;
use crate::pool::callbacks::Hook;
use crate::pool::conn::session::SocketLost;
use crate::pool::conn::Conn;
use crate::pool::dialing::Dialing;
use crate::pool::lend::sessions::{ask_socket, refresh_socket, NotTaken};
use crate::pool::transition::close_conn;
use crate::values::error::{Error, Result, Status};

fn refused(lost: SocketLost) -> Error {
    Error::new(Status::Callback, format!("open_session callback: {lost}"))
}

impl Dialing {
    pub(super) fn opened_session(mut self, session: OpenedSession) -> Result<Owned<Conn>> {
        let pool = self.pool().clone();
        if let Err(error) = pool.fail_if_inherited() {
            return Err(self.failed(error));
        }
        // One that nobody waits for may take its time, unless on_open has to run in it.
        let ended = match self.is_orphaned() && !pool.has_hook(Hook::Open) {
            true => self.ended(),
            false => pool.why_no_hook(&self.budget),
        };
        let Some(error) = ended else {
            return match self.take_in(session) {
                Ok(conn) => self.opened(conn),
                Err(error) => Err(self.failed(error)),
            };
        };
        if pool.is_closed() || pool.has_hook(Hook::Open) {
            drop(session);
            return Err(self.failed(error));
        }
        self.orphan();
        match self.take_in(session) {
            Ok(conn) => {
                if let Ok(conn) = self.opened(conn) {
                    pool.settle_in(conn);
                }
            }
            Err(lost) => drop(self.failed(lost)),
        }
        Err(error)
    }

    fn take_in(&self, mut opened: OpenedSession) -> Result<Owned<Conn>> {
        let pool = self.pool();
        let told = opened.fd().map(ask_socket).transpose().map_err(refused)?;
        let told = told.flatten().map(|told| (pool.remote_of(&told), told));
        let id = self.permit.right().destination;
        let registered = opened.give_to(|session| {
            pool.register_session(session, told, id, self.destination().clone())
        });
        match registered {
            Some(Ok(conn)) => {
                pool.watch(&conn);
                Ok(conn)
            }
            Some(Err(NotTaken::Lost(lost))) => Err(refused(lost)),
            Some(Err(NotTaken::System(error))) => Err(error),
            None => unreachable!("it is taken once"),
        }
    }

    /// on_open has returned, and its session may have another socket.
    pub(super) fn refresh_opened(&self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        let is_asked = self.pool().has_hook(Hook::Open);
        if let Some(Err(lost)) = is_asked.then(|| refresh_socket(&conn)) {
            close_conn::discard(conn);
            return Err(refused(lost));
        }
        self.pool().watch(&conn);
        Ok(conn)
    }
}
