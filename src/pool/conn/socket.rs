//! A connection's descriptor: which it is, whether it still is that, and its mode.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, RawFd};

use crate::handle::{fd_owners, Kept, Owned, SlotId};
use crate::pool::conn::{Conn, NONBLOCKING};
use crate::sync::atomic::Ordering::AcqRel;
use crate::sys::foreign::ConnFd;
use crate::sys::socket;

impl Conn {
    /// `None`: a driver's session that has no descriptor, or does not tell it.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.borrow()
    }

    /// -1: there is none.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.number()
    }

    /// What a dial returns: 0 where there is none.
    pub(crate) fn lent_fd(&self) -> RawFd {
        self.raw_fd().max(0)
    }

    pub(crate) fn into_fd(self) -> ConnFd {
        self.fd
    }

    /// The socket as it was when the connection began, or when its driver told it last.
    pub(crate) fn identity(&self) -> Option<socket::Identity> {
        if self.is_session() {
            return self.session_identity();
        }
        Some(self.identity)
    }

    /// The number still stands for the connection's own socket: no other connection has it, and the
    /// file has the device and inode of then. `slot`: the connection's own.
    pub(crate) fn has_own_socket_at(&self, slot: SlotId) -> bool {
        let number = self.raw_fd();
        fd_owners::is_owner(number, slot)
            && self
                .identity()
                .is_some_and(|was| socket::identity(number).ok() == Some(was))
    }

    /// The living connection whose own socket that number stands for. One that has lost its number,
    /// because the program or a driver closed it, does not count.
    pub(crate) fn owner_of(number: RawFd) -> Option<SlotId> {
        let slot = fd_owners::owner_of(number)?;
        let owner = Conn::table().pin_slot(slot)?;
        owner.has_own_socket_at(slot).then_some(slot)
    }

    /// shutdown(2) in both directions, if the number still is the connection's.
    pub(crate) fn cut_at(&self, slot: SlotId) {
        let Some(fd) = self.fd() else {
            return;
        };
        if self.has_own_socket_at(slot) || self.leads_as_before(fd, slot) {
            let _ = socket::shut_down(fd);
        }
    }

    /// A session's driver has reconnected since it was asked: the number, which no other connection
    /// has, is a socket to the same peer.
    fn leads_as_before(&self, fd: BorrowedFd<'_>, slot: SlotId) -> bool {
        self.is_session()
            && fd_owners::is_owner(self.raw_fd(), slot)
            && self.remote().is_some()
            && socket::peer(fd).is_ok_and(|peer| peer.as_ref() == self.remote())
    }

    /// Puts the descriptor into the mode that this borrow wants. A session's is its driver's.
    pub(crate) fn set_mode(&self, nonblocking: bool) -> std::io::Result<()> {
        if self.has(NONBLOCKING) != nonblocking && !self.is_session() {
            self.write_mode(nonblocking)?;
            self.flags.fetch_xor(NONBLOCKING, AcqRel);
            self.has_changed(NONBLOCKING);
        }
        Ok(())
    }

    /// Sets the descriptor's mode even where the library believes it is set: the program may have
    /// changed it.
    pub(crate) fn force_mode(&self, nonblocking: bool) -> std::io::Result<()> {
        self.write_mode(nonblocking)?;
        if nonblocking {
            self.mark(NONBLOCKING);
        } else {
            self.unmark(NONBLOCKING);
        }
        Ok(())
    }

    /// Puts the descriptor's mode back, whatever the borrower has made of it.
    pub(crate) fn restore_mode(&self) -> std::io::Result<()> {
        self.write_mode(self.has(NONBLOCKING))
    }

    fn write_mode(&self, nonblocking: bool) -> std::io::Result<()> {
        match &self.fd {
            ConnFd::Own(fd) => socket::set_nonblocking(fd.as_fd(), nonblocking),
            ConnFd::OfDriver(_) => Ok(()),
        }
    }
}

impl Owned<Conn> {
    /// The number still stands for the connection's own socket.
    pub(crate) fn has_own_socket(&self) -> bool {
        self.has_own_socket_at(self.slot_id())
    }
}
