//! A socket that is being connected, in a table of its own, so that a forked child finds its copy and closes it; and under
//! somebody's watch, where the one who dials does not sleep on it.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::handle::{Inherited, Kept, Kind, Owned, Table};
use crate::sync::Arc;
use crate::sys::fork;
use crate::sys::socket::{self, Identity};

/// Tells somebody when a socket is connected or has failed.
pub(crate) trait Watcher: std::fmt::Debug + Send + Sync {
    fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()>;
    fn unwatch(&self, number: RawFd);
}

/// A watch that ends with the value: before the descriptor is closed or somebody else's, because a copy of it in a forked
/// child would keep it registered.
#[derive(Debug)]
struct Watch {
    watcher: Arc<dyn Watcher>,
    number: RawFd,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watcher.unwatch(self.number);
    }
}

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
pub(super) struct Flight {
    /// Dropped first.
    watch: Option<Watch>,
    socket: Owned<Socket>,
}

impl Flight {
    pub(super) fn of(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket {
            number: fd.as_raw_fd(),
            identity: socket::identity(fd.as_raw_fd())?,
            fd: Some(fd),
        };
        let socket = Socket::table().insert(socket).map_err(|(_, error)| error)?;
        Ok(Self {
            watch: None,
            socket,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket.fd {
            Some(fd) => fd.as_fd(),
            None => unreachable!("it has not landed"),
        }
    }

    /// From now on `watcher` tells, if it did not already.
    pub(super) fn watch(&mut self, watcher: &Arc<dyn Watcher>) -> io::Result<()> {
        if self.watch.is_none() {
            watcher.watch(self.fd())?;
            self.watch = Some(Watch {
                watcher: watcher.clone(),
                number: self.fd().as_raw_fd(),
            });
        }
        Ok(())
    }

    /// The socket is somebody else's from now on.
    pub(super) fn land(self) -> (OwnedFd, Identity) {
        drop(self.watch);
        let mut socket = self.socket.into_inner();
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
