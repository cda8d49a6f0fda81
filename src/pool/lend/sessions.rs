//! Sessions of drivers that dial by themselves: how one is taken in, and how its driver is asked
//! for its socket.
//!
//! Who asks: `dialing::session` after opening and after on_open; `admit_session` here when one is
//! put; `give_back` at the end of a borrow, before and after on_release, and for
//! `background::idle_checks` after on_idle; `hand_over` after on_reuse; `entry::fast_hit` by
//! [`Conn::tells_same_fd`], which compares the number alone and therefore only within a few
//! milliseconds of a whole look (`conn::session`).
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::dial::callbacks::Session;
use crate::handle::Owned;
use crate::pool::conn::session::{DriverSocket, SocketLost};
use crate::pool::conn::{Conn, SocketInfo, Transport};
use crate::pool::state::DestinationId;
use crate::pool::transition::close_conn;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys::foreign::SessionFd;
use crate::sys::socket::Peek;
use crate::sys::{self, fork};
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Result, Status};
use crate::values::options::Liveness;

/// Why a session was not taken in.
#[derive(Debug)]
pub(crate) enum NotTaken {
    Lost(SocketLost),
    System(Error),
}

/// The number that a driver tells; `None`: the session has no descriptor. Code of the program runs
/// in here: no lock is held.
fn ask(fd: SessionFd) -> std::result::Result<Option<RawFd>, SocketLost> {
    let before = fork::epoch();
    let told = fd.ask();
    if fork::enter_if_forked(before) {
        // The session is the parent's.
        return Err(SocketLost::Gone);
    }
    Ok(told)
}

/// The socket of a session that is not a connection yet.
pub(crate) fn ask_socket(fd: SessionFd) -> std::result::Result<Option<DriverSocket>, SocketLost> {
    ask(fd)?.map(DriverSocket::of_number).transpose()
}

/// Asks a driver for the socket of its session, which may be another one by now (PQreset). Nothing
/// to do for other connections.
pub(crate) fn refresh_socket(conn: &Owned<Conn>) -> std::result::Result<(), SocketLost> {
    let Some(fd) = conn.session_fd() else {
        return Ok(());
    };
    match ask(fd)? {
        None if conn.has_told_fd() => Err(SocketLost::Gone),
        None => Ok(()),
        Some(told) if conn.has_socket(told) => {
            conn.note_verified();
            Ok(())
        }
        Some(told) => {
            let told = DriverSocket::of_number(told)?;
            close_conn::forget_socket(conn);
            conn.claim_socket(&told)
        }
    }
}

/// As `refresh_socket`, where the driver's socket is of use now: it is asked only if the known one
/// is gone.
pub(crate) fn refresh_if_replaced(conn: &Owned<Conn>) -> std::result::Result<(), SocketLost> {
    if !conn.is_session() || conn.raw_fd() < 0 || conn.has_own_socket() {
        return Ok(());
    }
    refresh_socket(conn)
}

impl Pool {
    /// Takes a session that the program has opened, on success only.
    pub(crate) fn put_session(
        self: &Arc<Self>,
        session: Session,
        destination: Destination,
    ) -> Result<()> {
        let named = destination.to_string();
        self.admit_session(session, Arc::new(destination))
            .map_err(|error| error.of(format_args!("put_session {named}")))
    }

    fn admit_session(
        self: &Arc<Self>,
        session: Session,
        destination: Arc<Destination>,
    ) -> Result<()> {
        let told = session.fd.map(ask_socket).transpose();
        let told = told.map_err(not_reusable)?.flatten();
        let liveness = session.liveness.unwrap_or(self.options().liveness);
        if let Some(told) = &told {
            refuse_unfit(told, liveness)?;
        }
        let told = told.map(|told| (self.remote_of(&told), told));
        self.admit_by(&destination, |id, destination, engine| {
            let conn = self
                .register_session(session, told, id, destination)
                .map_err(|(_, why)| match why {
                    NotTaken::Lost(lost) => not_reusable(lost),
                    NotTaken::System(error) => error,
                })?;
            self.watch_by(engine, &conn);
            Ok(conn)
        })
        .map_err(|(conn, error)| {
            // The session stays the program's: its destructor does not run.
            conn.map(close_conn::release);
            error
        })
    }

    pub(crate) fn remote_of(&self, told: &DriverSocket) -> Option<Arc<Endpoint>> {
        told.peer.clone().map(|peer| self.shared_remote(peer))
    }

    /// Puts a driver's session, with the socket that it has told, into its slot. Gives the session
    /// back on failure.
    pub(crate) fn register_session(
        self: &Arc<Self>,
        session: Session,
        told: Option<(Option<Arc<Endpoint>>, DriverSocket)>,
        id: DestinationId,
        destination: Arc<Destination>,
    ) -> std::result::Result<Owned<Conn>, (Session, NotTaken)> {
        let (remote, told) = told.unzip();
        let info = SocketInfo {
            identity: None,
            remote: remote.flatten(),
            retire_at: self.draw_lifetime(),
            is_datagram: false,
            is_nonblocking: false,
        };
        let transport = Transport::Session(session.fd);
        let conn = match self.insert(transport, id, destination, info) {
            Ok(conn) => conn,
            Err((_, error)) => return Err((session, NotTaken::System(error))),
        };
        if let Some(Err(lost)) = told.map(|told| conn.claim_socket(&told)) {
            close_conn::release(conn);
            return Err((session, NotTaken::Lost(lost)));
        }
        if let Some(liveness) = session.liveness {
            conn.set_liveness(liveness);
        }
        conn.set_data(Some(session.data));
        Ok(conn)
    }
}

fn not_reusable(lost: SocketLost) -> Error {
    match lost {
        SocketLost::AnothersNumber(fd) => {
            Error::invalid_argument(format!("fd {fd} belongs to a pool of this process already"))
        }
        _ => Error::new(Status::NotReusable, lost.to_string()),
    }
}

/// As of a descriptor that is put.
fn refuse_unfit(told: &DriverSocket, liveness: Liveness) -> Result<()> {
    let unfit = |why: &str| Error::new(Status::NotReusable, format!("fd {}: {why}", told.number()));
    match told.peek() {
        Peek::Quiet => Ok(()),
        Peek::Data if liveness != Liveness::Strict => Ok(()),
        Peek::Data => Err(unfit("there are unread bytes")),
        Peek::End => Err(unfit("the peer has closed it")),
        Peek::Failed(errno) => Err(unfit(&sys::errno_text(errno)).numbered(errno)),
    }
}
