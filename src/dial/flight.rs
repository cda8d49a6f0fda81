//! A socket that is being connected, in a table of its own, so that a forked child finds its copy and closes it.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::handle::{Inherited, Kept, Kind, Owned, Table};
use crate::sys::fork;
use crate::sys::socket::{self, Identity};

/// What the slot holds.
#[derive(Debug)]
struct Socket {
    /// `None` once it has landed.
    fd: Option<OwnedFd>,
    number: i32,
    identity: Identity,
}

impl Kept for Socket {
    fn table() -> &'static Table<Self> {
        static SOCKETS: Table<Socket> = Table::new(Kind::Flight);
        &SOCKETS
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take_if(|_| fork::has_forked()) {
            // A copy in a child would go on connecting.
            let _ = socket::shut_down(fd.as_fd());
        }
    }
}

/// See the module. Dropped before it has landed, it is closed.
#[derive(Debug)]
pub(super) struct Flight(Owned<Socket>);

impl Flight {
    pub(super) fn of(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket {
            number: fd.as_raw_fd(),
            identity: socket::identity(fd.as_raw_fd())?,
            fd: Some(fd),
        };
        let owned = Socket::table().insert(socket).map_err(|(_, error)| error)?;
        Ok(Self(owned))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.0.fd {
            Some(fd) => fd.as_fd(),
            None => unreachable!("it has not landed"),
        }
    }

    /// The socket is somebody else's from now on.
    pub(super) fn land(self) -> (OwnedFd, Identity) {
        let mut socket = self.0.into_inner();
        match socket.fd.take() {
            Some(fd) => (fd, socket.identity),
            None => unreachable!("it lands once"),
        }
    }
}

/// In a forked child, before anybody looks: no dial is in flight, and the copies of their sockets are closed.
pub(crate) fn adopt(generation: u32) {
    Socket::table().adopt(generation, Inherited::Ends);
    Socket::table().take_inherited(
        |_| true,
        |socket| socket::close_inherited(socket.number, socket.identity),
    );
}
