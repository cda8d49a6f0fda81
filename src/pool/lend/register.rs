//! A new connection of a pool: dialed, put into its slot, under watch.
#![forbid(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use crate::handle::{fd_owners, Kept, NoRoom, Owned};
use crate::pool::conn::{Conn, SocketInfo, Transport};
use crate::pool::engine::Engine;
use crate::pool::errors::system_error;
use crate::pool::state::DestinationId;
use crate::pool::{conn, Pool};
use crate::sync::Arc;
use crate::sys::foreign::ConnFd;
use crate::sys::{clock, random, socket};
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::error::Error;

impl Pool {
    /// Puts a socket into its slot. Gives the socket back on failure.
    pub(crate) fn register(
        self: &Arc<Self>,
        fd: OwnedFd,
        id: DestinationId,
        destination: Arc<Destination>,
        info: SocketInfo,
    ) -> std::result::Result<Owned<Conn>, (Option<OwnedFd>, Error)> {
        let number = fd.as_raw_fd();
        let identity = info.identity.map_or_else(|| socket::identity(number), Ok);
        let identity = match identity {
            Ok(identity) => identity,
            Err(error) => return Err((Some(fd), system_error("fstat", &error))),
        };
        let transport = Transport::Socket(ConnFd::Own(fd), identity);
        let conn = self
            .insert(transport, id, destination, info)
            .map_err(|(fd, error)| (fd.into_own(), error))?;
        match fd_owners::claim(number, conn.slot_id()) {
            Ok(None) => {}
            Ok(Some(loser)) => Conn::lost_its_number(loser),
            Err(NoRoom) => {
                let fd = conn.into_inner().into_fd().into_own();
                return Err((fd, Error::no_memory()));
            }
        }
        Ok(conn)
    }

    /// Puts a connection into its slot. Gives its descriptor back on failure.
    pub(super) fn insert(
        self: &Arc<Self>,
        transport: Transport,
        id: DestinationId,
        destination: Arc<Destination>,
        info: SocketInfo,
    ) -> std::result::Result<Owned<Conn>, (ConnFd, Error)> {
        let now = clock::now();
        let conn = Conn::new(transport, self.clone(), id, destination, info, now);
        let conn = Conn::table()
            .insert(conn)
            .map_err(|conn| (conn.into_fd(), Error::no_memory()))?;
        conn.set_slot_index();
        conn.set_idle_since(now.nanos());
        Ok(conn)
    }

    /// Sees to it that the engine watches a connection that may become idle. Where that is
    /// impossible it is peeked at in every mode, and tried again at the next give-back.
    pub(crate) fn watch(self: &Arc<Self>, conn: &Owned<Conn>) {
        if !conn.has(conn::WATCHED) && self.keeps_idle() {
            self.watch_by(self.engine().as_deref(), conn);
        }
    }

    /// Connections may become idle, and are to be watched then.
    pub(crate) fn keeps_idle(&self) -> bool {
        self.settings.max_idle_per_address() > 0
    }

    /// Lets that engine watch a connection. It never waits, so it may be called under the lock.
    pub(crate) fn watch_by(&self, engine: Option<&Engine>, conn: &Owned<Conn>) {
        let watched = engine.zip(conn.fd()).map(|(engine, fd)| {
            let poller = &engine.reactor().poller;
            poller.watch(fd, conn.is_datagram(), conn.slot_id().to_bits())
        });
        if matches!(watched, Some(Ok(()))) {
            conn.mark(conn::WATCHED);
        }
    }

    pub(crate) fn shared_remote(&self, remote: Endpoint) -> Arc<Endpoint> {
        self.must_be_ours();
        let mut last = self.last_remote.lock();
        match last.as_ref() {
            Some(shared) if **shared == remote => shared.clone(),
            _ => last.insert(Arc::new(remote)).clone(),
        }
    }

    /// When a connection that is opened now has to go: a uniform draw from the last `jitter`
    /// percent of its lifetime.
    pub(crate) fn draw_lifetime(&self) -> Time {
        let keeping = self.settings.get().keeping;
        let Some(longest) = keeping.max_lifetime else {
            return Time::NEVER;
        };
        let jitter = f64::from(keeping.lifetime_jitter_percent) / 100.0;
        let draw = random::draw() as f64 / u64::MAX as f64;
        clock::now().after(longest.mul_f64(1.0 - jitter * draw))
    }
}
