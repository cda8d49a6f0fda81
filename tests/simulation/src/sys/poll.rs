//! ppoll(2) over the world.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) use crate::real_sys::poll::{READABLE, WRITABLE};
use crate::values::clock::{Deadline, Time};
use crate::world::files::key;
use crate::world::{self, step, tasks};

#[derive(Debug)]
pub(crate) struct Interest {
    number: i32,
    events: i16,
    reported: i16,
}

impl Interest {
    pub(crate) fn new(fd: BorrowedFd<'_>, events: i16) -> Self {
        Self {
            number: fd.as_raw_fd(),
            events,
            reported: 0,
        }
    }

    pub(crate) fn reported(&self) -> i16 {
        self.reported
    }

    fn look(&mut self, keys: &mut Vec<u64>) {
        let always = libc::POLLERR | libc::POLLHUP;
        self.reported = world::with(|world| match world.descriptors.file(self.number) {
            Ok(file) => {
                keys.push(key(file));
                world.files.readiness(file) as i16 & (self.events | always)
            }
            Err(_) => libc::POLLNVAL,
        });
    }
}

pub(crate) fn has_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut interest = [Interest::new(fd, libc::POLLRDHUP)];
    let hung_up = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
    let reported = wait(&mut interest, Deadline::at(Time::from_nanos(0)));
    reported.is_ok_and(|count| count > 0) && interest[0].reported() & hung_up != 0
}

pub(crate) fn wait(interests: &mut [Interest], until: Deadline) -> io::Result<usize> {
    step();
    let until = until.time().map(|time| time.nanos());
    let mut keys = Vec::new();
    loop {
        keys.clear();
        interests.iter_mut().for_each(|one| one.look(&mut keys));
        let count = interests.iter().filter(|one| one.reported != 0).count();
        let now = world::with(|world| world.now);
        if count > 0 || until.is_some_and(|until| until <= now) {
            return Ok(count);
        }
        tasks::sleep_on(&keys, until, "poll");
    }
}
