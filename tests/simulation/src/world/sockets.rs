//! A client's stream socket, as tcp(7) has it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::files::{IN, OUT};

const RDHUP: u32 = libc::EPOLLRDHUP as u32;
const HUP: u32 = libc::EPOLLHUP as u32;
const ERR: u32 = libc::EPOLLERR as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketState {
    Fresh,
    Connecting,
    Connected,
    /// Refused, reset, or unreachable.
    Failed,
}

/// When something came that nobody has read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    pub(crate) moment: u64,
    pub(crate) rests: u64,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) domain: i32,
    pub(crate) state: SocketState,
    pub(crate) is_nonblocking: bool,
    /// SO_ERROR.
    pub(crate) error: i32,
    pub(crate) received: VecDeque<u8>,
    /// The peer sends no more.
    pub(crate) has_end: bool,
    pub(crate) is_shut_read: bool,
    pub(crate) is_shut_write: bool,
    pub(crate) to: Option<SocketAddr>,
    /// connect(2) has told that it is connected.
    pub(crate) is_told: bool,
    /// Bytes, an end or a reset.
    pub(crate) unread: Option<Unread>,
    /// An end or a reset.
    pub(crate) dead_since: Option<Unread>,
    /// The thread that has borrowed it.
    pub(crate) borrower: Option<usize>,
    /// In an epoll since that rest.
    pub(crate) watched_since: Option<u64>,
    /// Of a driver's session.
    pub(crate) is_drivers: bool,
}

impl Socket {
    pub(crate) fn new(domain: i32) -> Self {
        Self {
            domain,
            state: SocketState::Fresh,
            is_nonblocking: true,
            error: 0,
            received: VecDeque::new(),
            has_end: false,
            is_shut_read: false,
            is_shut_write: false,
            to: None,
            is_told: false,
            unread: None,
            dead_since: None,
            borrower: None,
            watched_since: None,
            is_drivers: false,
        }
    }

    pub(crate) fn readiness(&self) -> u32 {
        let error = if self.error != 0 { ERR } else { 0 };
        match self.state {
            SocketState::Fresh => OUT | HUP,
            SocketState::Connecting => 0,
            SocketState::Failed => IN | OUT | RDHUP | HUP | error,
            SocketState::Connected => {
                let ends = self.has_end || self.is_shut_read;
                let is_readable = ends || !self.received.is_empty();
                let mut events = OUT | error;
                events |= if is_readable { IN } else { 0 };
                events |= if ends { RDHUP } else { 0 };
                events |= if ends && self.is_shut_write { HUP } else { 0 };
                events
            }
        }
    }

    /// SO_ERROR, which a look clears.
    pub(crate) fn take_error(&mut self) -> i32 {
        std::mem::take(&mut self.error)
    }

    /// As recv(2) without waiting: how many bytes there are, or errno.
    pub(crate) fn readable(&mut self) -> Result<usize, i32> {
        if !self.received.is_empty() {
            return Ok(self.received.len());
        }
        match (self.take_error(), self.state) {
            (0, SocketState::Failed) => Ok(0),
            (0, SocketState::Connected) if self.has_end || self.is_shut_read => Ok(0),
            (0, SocketState::Connected) => Err(libc::EAGAIN),
            (0, _) => Err(libc::ENOTCONN),
            (errno, _) => Err(errno),
        }
    }

    pub(crate) fn note_unread(&mut self, unread: Unread, is_end: bool) {
        self.unread.get_or_insert(unread);
        if is_end {
            self.dead_since.get_or_insert(unread);
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.received.len());
        for (to, from) in buffer.iter_mut().zip(self.received.drain(..count)) {
            *to = from;
        }
        if self.received.is_empty() {
            self.unread = self.dead_since;
        }
        count
    }
}
