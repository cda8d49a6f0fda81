//! Reads, writes and waits of a borrower.
//!
//! The descriptor's mode does not matter: every transfer is made without waiting, and who must wait
//! polls for the socket and for a waker that a close, an abort or a new deadline wakes. A failed
//! one, end of stream included, marks the connection unfit: a late answer must not reach the next
//! borrower.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::os::fd::BorrowedFd;

use crate::handle::{Pin, SlotId};
use crate::pool::conn::sleepers::sleepers;
use crate::pool::conn::{Conn, ABORTED, CANCELED, CLOSING, CUT, DISCARDED, ENDED, FAILED};
use crate::pool::errors::{canceled, no_descriptor, system_error};
use crate::sync::atomic::fence;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sys;
use crate::sys::poll::Interest;
use crate::sys::{clock, poll, socket};
use crate::values::clock::Deadline;
use crate::values::error::{Error, Phase, Result, Status};

/// What a borrower waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directions {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

pub(crate) const READ: Directions = Directions {
    read: true,
    write: false,
};
pub(crate) const WRITE: Directions = Directions {
    read: false,
    write: true,
};
pub(crate) const BOTH: Directions = Directions {
    read: true,
    write: true,
};

impl Directions {
    fn events(self) -> i16 {
        let read = if self.read { poll::READABLE } else { 0 };
        let write = if self.write { poll::WRITABLE } else { 0 };
        read | write
    }

    fn phase(self) -> Phase {
        if self.read {
            Phase::Reading
        } else {
            Phase::Writing
        }
    }

    /// The earlier of the deadlines asked for.
    fn deadline(self, conn: &Conn) -> Deadline {
        let read = if self.read {
            conn.read_deadline()
        } else {
            Deadline::NEVER
        };
        let write = if self.write {
            conn.write_deadline()
        } else {
            Deadline::NEVER
        };
        read.min(write)
    }
}

/// As read(2), waiting for the first byte: 0 at end of stream.
pub(crate) fn read(conn: &Pin<Conn>, buffer: &mut [u8]) -> Result<usize> {
    let _running = conn.run();
    loop {
        match try_receive(conn, buffer)? {
            Some(count) => return Ok(count),
            None => sleep(conn, READ).map(drop)?,
        }
    }
}

/// Fills the whole buffer; 0 at end of stream before the first byte.
pub(crate) fn read_full(conn: &Pin<Conn>, buffer: &mut [u8]) -> Result<usize> {
    let fd = own_socket(conn, "read_full")?;
    if !socket::is_stream(fd).map_err(|error| failed(conn, "getsockopt", &error))? {
        return Err(Error::invalid_argument(
            "not a stream: a read is one message",
        ));
    }
    let _running = conn.run();
    check(conn, READ)?;
    let mut have = 0;
    while have < buffer.len() {
        match read(conn, &mut buffer[have..])? {
            0 if have == 0 => return Ok(0),
            0 => return Err(cut_short(conn, have, buffer.len())),
            count => have += count,
        }
    }
    Ok(have)
}

/// What I/O of the program on the descriptor itself came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Bytes,
    EndOfStream,
    Failed,
}

/// As if [`read`] had seen it. A datagram may be empty, and is no end of stream.
pub(crate) fn report(conn: &Pin<Conn>, seen: Seen) {
    match seen {
        Seen::EndOfStream | Seen::Failed if conn.has(CUT) => conn.mark(FAILED),
        Seen::EndOfStream if conn.is_datagram() => conn.was_read(conn.generation()),
        Seen::EndOfStream | Seen::Failed => conn.mark(FAILED | ENDED),
        Seen::Bytes => conn.was_read(conn.generation()),
    }
}

/// shutdown(2); the connection is not kept.
pub(crate) fn shut_down(conn: &Conn, how: i32) -> Result<()> {
    let fd = own_socket(conn, "shutdown")?;
    conn.mark(DISCARDED);
    socket::shut_down_directions(fd, how).map_err(|error| io_error(conn, "shutdown", &error))
}

/// As read(2) of a non-blocking descriptor; `None`: nothing there now.
pub(crate) fn try_read(conn: &Pin<Conn>, buffer: &mut [u8]) -> Result<Option<usize>> {
    let _running = conn.run();
    try_receive(conn, buffer)
}

/// Writes all of it.
pub(crate) fn write(conn: &Pin<Conn>, bytes: &[u8]) -> Result<usize> {
    let _running = conn.run();
    let mut written = 0;
    loop {
        match try_send(conn, &bytes[written..])? {
            Some(count) => written += count,
            None => sleep(conn, WRITE).map(drop)?,
        }
        if written >= bytes.len() {
            return Ok(written);
        }
    }
}

/// Writes what goes without waiting; `None`: nothing now.
pub(crate) fn try_write(conn: &Pin<Conn>, bytes: &[u8]) -> Result<Option<usize>> {
    let _running = conn.run();
    try_send(conn, bytes)
}

/// Waits until at least one of the directions is ready (or has failed: the next transfer tells).
pub(crate) fn wait(conn: &Pin<Conn>, directions: Directions) -> Result<Directions> {
    let _running = conn.run();
    check(conn, directions)?;
    sleep(conn, directions)
}

fn try_receive(conn: &Pin<Conn>, buffer: &mut [u8]) -> Result<Option<usize>> {
    let fd = own_socket(conn, "read")?;
    check(conn, READ)?;
    let is_datagram = conn.is_datagram();
    if buffer.is_empty() && !is_datagram {
        return Ok(Some(0));
    }
    match socket::receive(fd, buffer) {
        // A truncated answer must not look like a whole one.
        Ok(0) | Err(_) if conn.has(CUT) => Err(cut(conn, READ)),
        Ok(0) if !is_datagram => {
            conn.mark(FAILED | ENDED);
            Ok(Some(0))
        }
        Ok(count) => {
            conn.was_read(conn.generation());
            Ok(Some(count))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(failed(conn, "read", &error)),
    }
}

fn try_send(conn: &Pin<Conn>, bytes: &[u8]) -> Result<Option<usize>> {
    let fd = own_socket(conn, "write")?;
    check(conn, WRITE)?;
    if bytes.is_empty() && !conn.is_datagram() {
        return Ok(Some(0));
    }
    match socket::send(fd, bytes) {
        Err(_) if conn.has(CUT) => Err(cut(conn, WRITE)),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(failed(conn, "write", &error)),
    }
}

/// A driver's bytes are the driver's: nobody else may take or send any.
fn own_socket<'a>(conn: &'a Conn, what: &str) -> Result<BorrowedFd<'a>> {
    if conn.is_session() {
        return Err(Error::invalid_argument(format!(
            "{what} {}: a driver's session is read and written by its driver",
            conn.destination()
        )));
    }
    conn.fd().ok_or_else(no_descriptor)
}

fn failed(conn: &Conn, what: &str, error: &std::io::Error) -> Error {
    conn.mark(FAILED | ENDED);
    io_error(conn, what, error)
}

fn cut_short(conn: &Conn, have: usize, wanted: usize) -> Error {
    let destination = conn.destination();
    let message = format!("read {destination}: end of stream after {have} of {wanted} bytes");
    Error::new(Status::Io, message)
}

fn io_error(conn: &Conn, what: &str, error: &std::io::Error) -> Error {
    let errno = sys::errno(error);
    let message = format!("{what} {}: {}", conn.destination(), sys::errno_text(errno));
    Error::new(Status::Io, message).numbered(errno)
}

/// Why the library has shut the socket down.
fn cut(conn: &Conn, directions: Directions) -> Error {
    conn.mark(FAILED);
    let error = if conn.has(ABORTED) {
        Error::new(Status::PoolClosed, "the pool was aborted")
    } else if conn.has(CANCELED) {
        canceled()
    } else {
        Error::timeout(directions.phase(), "")
    };
    error.of(conn.destination())
}

/// Arms a waker or a token. Without a descriptor left, the pool's longest idle connection gives its
/// own; if that is not enough either, the transfer has failed like any other.
fn arm<'a>(
    conn: &Conn,
    arm: impl Fn() -> std::io::Result<BorrowedFd<'a>>,
) -> Result<BorrowedFd<'a>> {
    let armed = match arm() {
        Err(_) if conn.pool().close_longest_idle() => arm(),
        armed => armed,
    };
    armed.map_err(|error| {
        conn.mark(FAILED);
        system_error("eventfd", &error)
    })
}

/// Ends what must not go on.
fn check(conn: &Conn, directions: Directions) -> Result<()> {
    if conn.has(CLOSING) {
        conn.mark(FAILED);
        return Err(Error::new(
            Status::ConnClosed,
            "the connection was closed meanwhile",
        ));
    }
    if conn.has(CUT) {
        return Err(cut(conn, directions));
    }
    if conn.token().is_some_and(|token| token.has_fired()) {
        conn.mark(FAILED);
        return Err(canceled().of(conn.destination()));
    }
    let deadline = directions.deadline(conn);
    if deadline != Deadline::NEVER && deadline.has_passed(clock::now()) {
        conn.mark(FAILED);
        let timeout = Error::timeout(directions.phase(), "");
        return Err(timeout.of(conn.destination()));
    }
    Ok(())
}

/// Sleeps until the socket is ready.
fn sleep(conn: &Pin<Conn>, directions: Directions) -> Result<Directions> {
    let fd = conn.fd().ok_or_else(no_descriptor)?;
    let sleeper = sleepers().announce(conn.slot_id());
    let waker = arm(conn, || sleeper.waker.arm())?;
    loop {
        let token = conn.token();
        let fired = token.as_ref().map(|token| arm(conn, || token.arm()));
        let fired = fired.transpose()?;
        check(conn, directions)?;
        let mut interests = [
            Interest::new(fd, directions.events()),
            Interest::new(waker, poll::READABLE),
            Interest::new(fired.unwrap_or(waker), poll::READABLE),
        ];
        poll::wait(&mut interests, directions.deadline(conn))
            .map_err(|error| failed(conn, "poll", &error))?;
        if let Some(ready) = ready(&interests[0], directions) {
            return if conn.has(CUT) {
                Err(cut(conn, directions))
            } else {
                Ok(ready)
            };
        }
        if interests[1].reported() != 0 {
            sleeper.waker.clear();
        }
    }
}

fn ready(socket: &Interest, asked: Directions) -> Option<Directions> {
    let reported = socket.reported();
    let failed = reported & !(poll::READABLE | poll::WRITABLE) != 0;
    let ready = Directions {
        read: asked.read && (failed || reported & poll::READABLE != 0),
        write: asked.write && (failed || reported & poll::WRITABLE != 0),
    };
    (ready.read || ready.write).then_some(ready)
}

/// Makes everyone who is inside a read, write or wait leave.
pub(crate) fn kick(conn: &Conn, slot: SlotId) {
    conn.mark(CLOSING);
    sleepers().wake(slot);
}

/// Lets whoever sleeps on the connection look at its deadlines and its token again.
pub(crate) fn terms_changed(conn: &Pin<Conn>) {
    // Pairs with the fence in `Waker::arm`: either the sleeper sees the new deadline, or this
    // thread sees the sleeper.
    fence(SeqCst);
    if conn.is_running() {
        sleepers().wake(conn.slot_id());
    }
}
