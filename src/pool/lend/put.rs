//! Connections that the program made itself: `put` and `add`.
#![forbid(unsafe_code)]

use std::os::fd::{BorrowedFd, RawFd};

use crate::dial::race::connect;
use crate::handle::{fd_owners, Owned};
use crate::pool::conn::{Conn, SocketInfo};
use crate::pool::engine::Engine;
use crate::pool::errors::system_error;
use crate::pool::state::answer::Effects;
use crate::pool::state::DestinationId;
use crate::pool::transition::close_conn;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys;
use crate::sys::foreign::ProgramFd;
use crate::sys::socket::{Peek, SocketKind};
use crate::sys::{clock, socket};
use crate::values::address::Address;
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Result, Status};
use crate::values::options::Liveness;

/// What a look at the program's socket has shown.
struct Candidate {
    kind: SocketKind,
    peer: Option<Endpoint>,
    is_nonblocking: bool,
}

/// Keeps a number from being put twice at once.
struct Reservation(RawFd);

impl Drop for Reservation {
    fn drop(&mut self) {
        fd_owners::unreserve(self.0);
    }
}

/// False if a connection has the number, or another thread is about to put it.
fn reserve(number: RawFd) -> Result<bool> {
    if let (Some(owner), None) = (fd_owners::owner_of(number), Conn::owner_of(number)) {
        // A driver has closed it, or the program.
        fd_owners::release(number, owner);
        Conn::lost_its_number(owner);
    }
    fd_owners::reserve(number).map_err(|_| Error::no_memory())
}

fn not_reusable(fd: RawFd, why: &str) -> Error {
    Error::new(Status::NotReusable, format!("fd {fd}: {why}"))
}

impl Pool {
    /// Takes the descriptor on success only.
    pub(crate) fn put(
        self: &Arc<Self>,
        offered: ProgramFd,
        destination: Destination,
    ) -> Result<()> {
        let named = destination.to_string();
        self.put_at(offered, |_| Ok(destination))
            .map_err(|error| error.of(format_args!("put {named}")))
    }

    /// Takes the descriptor under its peer's address, on success only.
    pub(crate) fn add(self: &Arc<Self>, offered: ProgramFd) -> Result<()> {
        let number = offered.number();
        self.put_at(offered, |candidate| destination_of(number, candidate))
            .map_err(|error| error.of("add"))
    }

    fn put_at(
        self: &Arc<Self>,
        offered: ProgramFd,
        place: impl FnOnce(&Candidate) -> Result<Destination>,
    ) -> Result<()> {
        let number = offered.number();
        let fd = offered
            .borrow()
            .map_err(|_| not_reusable(number, "not an open descriptor"))?;
        if !reserve(number)? {
            return Err(Error::invalid_argument(format!(
                "fd {number} belongs to a pool of this process already"
            )));
        }
        let reservation = Reservation(number);
        let candidate = self.look_at(fd, number)?;
        let destination = Arc::new(place(&candidate)?);
        self.admit(offered, candidate, &destination)?;
        // Admitted: the number has an owner now, and the reservation finds nothing to undo.
        drop(reservation);
        Ok(())
    }

    fn look_at(&self, fd: BorrowedFd<'_>, number: RawFd) -> Result<Candidate> {
        let kind = socket::kind(fd).map_err(|_| not_reusable(number, "not a socket"))?;
        let peer = socket::peer(fd).map_err(|_| not_reusable(number, "not connected"))?;
        match socket::peek(fd, kind.is_datagram()) {
            Peek::Quiet => {}
            Peek::Data if self.options.liveness != Liveness::Strict => {}
            Peek::Data => return Err(not_reusable(number, "there are unread bytes")),
            Peek::End => return Err(not_reusable(number, "the peer has closed it")),
            Peek::Failed(errno) => {
                return Err(not_reusable(number, &sys::errno_text(errno)).numbered(errno))
            }
        }
        let is_nonblocking =
            socket::is_nonblocking(fd).map_err(|error| system_error("fcntl", &error))?;
        Ok(Candidate {
            kind,
            peer,
            is_nonblocking,
        })
    }

    fn admit(
        self: &Arc<Self>,
        offered: ProgramFd,
        candidate: Candidate,
        destination: &Arc<Destination>,
    ) -> Result<()> {
        let refused = |error| system_error("fcntl", &error);
        let fd = offered.borrow().map_err(refused)?;
        let was_close_on_exec = socket::set_close_on_exec(fd, true).map_err(refused)?;
        let mut offered = Some(offered);
        let info = SocketInfo {
            identity: None,
            remote: candidate.peer.map(|peer| self.shared_remote(peer)),
            retire_at: self.draw_lifetime(),
            is_datagram: candidate.kind.is_datagram(),
            is_nonblocking: candidate.is_nonblocking,
        };
        let build = |id, destination: Arc<Destination>, engine: Option<&Engine>| {
            self.build(&mut offered, id, destination, info, engine)
        };
        self.admit_by(destination, build).map_err(|(conn, error)| {
            if let Some(conn) = conn {
                offered = close_conn::release_fd(conn);
            }
            if let Some(Ok(fd)) = offered.as_ref().map(ProgramFd::borrow) {
                let _ = socket::set_close_on_exec(fd, was_close_on_exec);
            }
            error
        })
    }

    /// Takes in a connection that `build` makes under the state's lock, once there is room for it.
    pub(crate) fn admit_by(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        build: impl FnOnce(DestinationId, Arc<Destination>, Option<&Engine>) -> Result<Owned<Conn>>,
    ) -> std::result::Result<(), (Option<Owned<Conn>>, Error)> {
        // Outside the lock: starting a thread is no work to do under it.
        let engine = self.keeps_idle().then(|| self.engine()).flatten();
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let mut state = self.locked();
        let build = |id, destination| build(id, destination, engine.as_deref());
        let room = self.reserve_one(&mut state).map_err(|error| (None, error));
        let admitted = room.and_then(|()| state.admit(destination, build, now, &mut effects));
        self.wake_by(state.next_deadline());
        drop(state);
        self.apply(effects);
        admitted
    }

    fn build(
        self: &Arc<Self>,
        offered: &mut Option<ProgramFd>,
        id: DestinationId,
        destination: Arc<Destination>,
        info: SocketInfo,
        engine: Option<&Engine>,
    ) -> Result<Owned<Conn>> {
        let Some(taken) = offered.take() else {
            unreachable!("it is taken once");
        };
        let fd = taken
            .take()
            .map_err(|error| system_error("fcntl", &error))?;
        let conn = self
            .register(fd, id, destination, info)
            .map_err(|(fd, error)| {
                *offered = fd.map(ProgramFd::give);
                error
            })?;
        self.watch_by(engine, &conn);
        Ok(conn)
    }
}

/// Where a socket belongs by its peer.
fn destination_of(fd: RawFd, candidate: &Candidate) -> Result<Destination> {
    let network = connect::network_of(candidate.kind);
    match (network, &candidate.peer) {
        (_, Some(Endpoint::Unix(name))) if !name.is_text() => {
            Err(not_reusable(fd, "its peer's name is not UTF-8"))
        }
        (Some(network), Some(peer)) => Ok(Destination::new(
            Address::of_endpoint(network, peer.clone()),
            "",
        )),
        (None, _) => Err(not_reusable(fd, "a kind of socket that cannot be dialed")),
        (_, None) => Err(not_reusable(fd, "its peer has no address")),
    }
}
