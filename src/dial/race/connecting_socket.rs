//! A socket that is being connected. It stands in a table of its own, so that a forked child finds
//! its copy and closes it, and it is watched where its dialer does not sleep on it.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::handle::{HandleKind, Inherited, Kept, Owned, Table};
use crate::sync::Arc;
use crate::sys::fork;
use crate::sys::socket::{self, Identity};

/// Wakes a dial when one of its sockets is connected or has failed.
pub(crate) trait Watcher: std::fmt::Debug + Send + Sync {
    fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()>;
    fn unwatch(&self, number: RawFd);
}

/// A watch that ends with the value: before the descriptor is closed or given away, because a copy
/// of it in a forked child would keep it registered (epoll(7)).
#[derive(Debug)]
struct WatchGuard {
    watcher: Arc<dyn Watcher>,
    number: RawFd,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.watcher.unwatch(self.number);
    }
}

/// What the slot holds.
#[derive(Debug)]
struct ConnectingSlot {
    /// `None` once it was taken out.
    fd: Option<OwnedFd>,
    number: i32,
    identity: Identity,
}

impl Kept for ConnectingSlot {
    fn table() -> &'static Table<Self> {
        static SOCKETS: Table<ConnectingSlot> = Table::new(HandleKind::ConnectingSocket);
        &SOCKETS
    }
}

impl Drop for ConnectingSlot {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take_if(|_| fork::has_forked()) {
            // A copy in a child would go on connecting.
            let _ = socket::shut_down(fd.as_fd());
        }
    }
}

/// A socket on its way. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct ConnectingSocket {
    /// Dropped first.
    watch: Option<WatchGuard>,
    socket: Owned<ConnectingSlot>,
}

impl ConnectingSocket {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = ConnectingSlot {
            number: fd.as_raw_fd(),
            identity: socket::identity(fd.as_raw_fd())?,
            fd: Some(fd),
        };
        let socket = ConnectingSlot::table()
            .insert(socket)
            .map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self {
            watch: None,
            socket,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket.fd {
            Some(fd) => fd.as_fd(),
            None => unreachable!("only `into_parts` takes it out"),
        }
    }

    /// Has it watched, if it is not already.
    pub(super) fn watch(&mut self, watcher: &Arc<dyn Watcher>) -> io::Result<()> {
        if self.watch.is_none() {
            watcher.watch(self.fd())?;
            self.watch = Some(WatchGuard {
                watcher: watcher.clone(),
                number: self.fd().as_raw_fd(),
            });
        }
        Ok(())
    }

    /// Takes the socket out of its slot; the watch ends.
    pub(super) fn into_parts(self) -> (OwnedFd, Identity) {
        drop(self.watch);
        let mut socket = self.socket.into_inner();
        match socket.fd.take() {
            Some(fd) => (fd, socket.identity),
            None => unreachable!("it is taken out once"),
        }
    }
}

/// In a forked child, before any other call: no dial is in flight, and the copies of their sockets
/// are closed.
pub(crate) fn close_inherited(generation: u32) {
    ConnectingSlot::table().adopt(generation, Inherited::Ends);
    ConnectingSlot::table().take_inherited(
        |_| true,
        |socket| socket::close_inherited(socket.number, socket.identity),
    );
}
