//! epoll(7), as the engine uses it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::values::clock::Time;

/// The peer has closed, or closed its writing half.
pub(crate) const HANG_UP: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP) as u32;
/// The socket failed, or has something in its error queue.
pub(crate) const FAILED: u32 = libc::EPOLLERR as u32;
/// A connect(2) has ended, or there is room to write.
pub(crate) const WRITABLE: u32 = libc::EPOLLOUT as u32;
/// There are bytes to read.
pub(crate) const READABLE: u32 = libc::EPOLLIN as u32;
/// Events are reported once, when they begin.
pub(crate) const EDGE: u32 = libc::EPOLLET as u32;
/// What a stream's watch always asks for.
pub(crate) const PEER_HANG_UP: u32 = libc::EPOLLRDHUP as u32;

/// One epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// One reported event: what happened, and the number given at registration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpollEvent {
    pub(crate) events: u32,
    pub(crate) data: u64,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is a fresh descriptor that nobody else owns.
        unsafe {
            let fd = syscall!(epoll_create1(libc::EPOLL_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: `event` outlives the call.
        unsafe { syscall!(epoll_ctl(self.0.as_raw_fd(), operation, fd, &mut event)) }.map(drop)
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, events: u32, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), events, data)
    }

    pub(crate) fn modify(&self, fd: BorrowedFd<'_>, events: u32, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), events, data)
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd.as_raw_fd(), 0, 0)
    }

    /// Ends the watch of a descriptor that is about to be closed, by its number.
    pub(crate) fn remove_number(&self, number: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, number, 0, 0)
    }

    /// Sleeps until an event, or until `until` (`None`: for ever), and hands each event to `each`.
    pub(crate) fn wait(
        &self,
        until: Option<Time>,
        mut each: impl FnMut(EpollEvent),
    ) -> io::Result<()> {
        const AT_ONCE: usize = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
        let timeout = match until {
            None => -1,
            Some(time) => time
                .since(super::clock::now())
                .as_nanos()
                .div_ceil(1_000_000)
                .min(i32::MAX as u128) as i32,
        };
        // SAFETY: the buffer holds as many events as the call is told.
        let result = unsafe {
            syscall!(epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                AT_ONCE as i32,
                timeout,
            ))
        };
        let count = match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            result => result?,
        };
        for event in events.iter().take(count as usize) {
            let libc::epoll_event { events, u64: data } = *event;
            each(EpollEvent { events, data });
        }
        Ok(())
    }
}
