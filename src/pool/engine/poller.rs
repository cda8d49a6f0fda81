//! The engine's epoll: what is watched, and how a sleeping engine is woken.
//!
//! Every registration has a number, which epoll reports with its events: the slot number of a
//! connection, the tagged number of a task or token (`schedule`), or the poller's own eventfd.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sys::epoll::{self, Epoll, EpollEvent};
use crate::sys::eventfd::EventFd;
use crate::values::clock::Time;

/// The eventfd's number. No slot has it, because a slot index has 24 bits.
const WAKER: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Epoll,
    waker: EventFd,
    /// The time that the engine sleeps until; 0 while it is awake and will poll anyway.
    sleeps_until: AtomicU64,
}

fn hang_up_events(is_datagram: bool) -> u32 {
    if is_datagram {
        epoll::EDGE
    } else {
        epoll::PEER_HANG_UP | epoll::EDGE
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let waker = EventFd::new()?;
        epoll.add(waker.as_fd(), epoll::READABLE, WAKER)?;
        Ok(Self {
            epoll,
            waker,
            sleeps_until: AtomicU64::new(0),
        })
    }

    /// Wakes the engine if it would sleep longer than `time`.
    pub(crate) fn wake_by(&self, time: Time) {
        if time.nanos() < self.sleeps_until.load(SeqCst) {
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        self.waker.signal();
    }

    /// Sleeps until an event, a wake, or the time that `next_deadline` tells.
    pub(crate) fn poll(
        &self,
        next_deadline: impl Fn() -> Time,
        mut on_event: impl FnMut(EpollEvent),
    ) -> io::Result<()> {
        let due = next_deadline();
        self.sleeps_until.store(due.nanos(), SeqCst);
        // A time that was armed before the store is seen by this second look; who arms one after
        // the store sees it, and wakes.
        let due = due.min(next_deadline());
        let until = (due != Time::NEVER).then_some(due);
        let mut events = Vec::new();
        self.epoll.wait(until, |event| events.push(event))?;
        self.sleeps_until.store(0, SeqCst);
        for event in events {
            if event.data == WAKER {
                self.waker.clear();
            } else {
                on_event(event);
            }
        }
        Ok(())
    }

    /// Reports a hang-up of the peer. Fails where epoll has no room for the descriptor.
    pub(crate) fn watch(
        &self,
        fd: BorrowedFd<'_>,
        is_datagram: bool,
        number: u64,
    ) -> io::Result<()> {
        self.epoll.add(fd, hang_up_events(is_datagram), number)
    }

    /// Reports unread bytes too.
    pub(crate) fn arm(&self, fd: BorrowedFd<'_>, is_datagram: bool, number: u64) -> io::Result<()> {
        let events = hang_up_events(is_datagram) | epoll::READABLE;
        self.epoll.modify(fd, events, number)
    }

    /// Reports no unread bytes any more: the connection is in use.
    pub(crate) fn disarm(
        &self,
        fd: BorrowedFd<'_>,
        is_datagram: bool,
        number: u64,
    ) -> io::Result<()> {
        self.epoll.modify(fd, hang_up_events(is_datagram), number)
    }

    /// Reports when a connect(2) has ended.
    pub(crate) fn watch_writable(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        self.epoll.add(fd, epoll::WRITABLE | epoll::EDGE, number)
    }

    /// Reports when an eventfd was signaled.
    pub(crate) fn watch_readable(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        self.epoll.add(fd, epoll::READABLE | epoll::EDGE, number)
    }

    /// Before a descriptor is closed or given away: a copy of it in a forked child would keep it
    /// registered (epoll(7), question 6).
    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>) {
        // ENOENT and EBADF: the program closed the descriptor; there is nothing left to undo.
        let _ = self.epoll.remove(fd);
    }

    pub(crate) fn unwatch_number(&self, number: RawFd) {
        let _ = self.epoll.remove_number(number);
    }
}
