//! The end of a dial that a driver has made: its session becomes a connection, or is ended.
//!
//! Nothing ends open_session early, so it may return when nobody wants its session any more. Then
//! the session is kept for the next borrower; its dial has succeeded. With an on_open hook, which
//! would run after the time of its dial, it is ended. Until then it counts against every limit.
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
        let ended = match self.is_orphaned() {
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

    fn take_in(&self, session: OpenedSession) -> Result<Owned<Conn>> {
        let pool = self.pool();
        let session = session.take();
        let told = match session.fd.map(ask_socket).transpose() {
            Ok(told) => told.flatten(),
            Err(lost) => {
                OpenedSession::end(session);
                return Err(refused(lost));
            }
        };
        let id = self.permit.right().destination;
        let registered = pool.register_session(session, told, id, self.destination().clone());
        match registered {
            Ok(conn) => {
                pool.watch(&conn);
                Ok(conn)
            }
            Err((session, NotTaken::Lost(lost))) => {
                OpenedSession::end(session);
                Err(refused(lost))
            }
            Err((session, NotTaken::System(error))) => {
                OpenedSession::end(session);
                Err(error)
            }
        }
    }

    /// on_open has returned, and its session may have another socket.
    pub(super) fn refresh_opened(&self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        if let Err(lost) = refresh_socket(&conn) {
            close_conn::discard(conn);
            return Err(refused(lost));
        }
        self.pool().watch(&conn);
        Ok(conn)
    }
}
