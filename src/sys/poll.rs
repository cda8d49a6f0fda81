//! ppoll(2): how a calling thread waits.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::values::clock::{Deadline, Time};

/// There is something to read, or the stream ended.
pub(crate) const READABLE: i16 = libc::POLLIN;
/// There is room to write.
pub(crate) const WRITABLE: i16 = libc::POLLOUT;

/// What a caller waits for; `0` events still reports errors and hang-ups.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Interest(libc::pollfd);

impl Interest {
    pub(crate) fn new(fd: BorrowedFd<'_>, events: i16) -> Self {
        Self(libc::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        })
    }

    /// What was reported at the last [`wait`], errors and hang-ups included.
    pub(crate) fn reported(&self) -> i16 {
        self.0.revents
    }
}

/// The peer of a stream socket sends no more, or the connection is gone. Never waits.
pub(crate) fn has_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut interest = [Interest::new(fd, libc::POLLRDHUP)];
    let hung_up = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
    let reported = wait(&mut interest, Deadline::at(Time::from_nanos(0)));
    reported.is_ok_and(|count| count > 0) && interest[0].reported() & hung_up != 0
}

/// Sleeps until one of `interests` has something to report or the deadline passes; returns how many
/// have. A signal ends the sleep early with 0: the caller looks at its own conditions and waits
/// again.
pub(crate) fn wait(interests: &mut [Interest], until: Deadline) -> io::Result<usize> {
    let spec;
    let timeout = match until.time() {
        None => std::ptr::null(),
        Some(time) => {
            let left = time.since(super::clock::now());
            spec = libc::timespec {
                tv_sec: left.as_secs().min(i64::MAX as u64) as libc::time_t,
                tv_nsec: left.subsec_nanos().into(),
            };
            &spec as *const libc::timespec
        }
    };
    // SAFETY: `Interest` is a transparent pollfd, the count is theirs, and no signal mask is
    // passed.
    let result = unsafe {
        syscall!(ppoll(
            interests.as_mut_ptr().cast(),
            interests.len() as libc::nfds_t,
            timeout,
            std::ptr::null(),
        ))
    };
    if result.is_err() {
        interests.iter_mut().for_each(|one| one.0.revents = 0);
    }
    match result {
        Ok(count) => Ok(count as usize),
        Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
        Err(error) => Err(error),
    }
}
