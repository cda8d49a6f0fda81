//! eventfd(2) over the world.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::world::files::{Kind, IN};
use crate::world::{self, step};

#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        step();
        let number = world::with(|world| world.open(Kind::EventCounter(0)))?;
        // SAFETY: a fresh number of the world's, which nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    pub(crate) fn signal(&self) {
        signal(self.as_fd());
    }

    pub(crate) fn clear(&self) {
        clear(self.as_fd());
    }
}

pub(crate) fn signal(fd: BorrowedFd<'_>) {
    step();
    set(fd, |count| count + 1);
}

pub(crate) fn clear(fd: BorrowedFd<'_>) {
    step();
    set(fd, |_| 0);
}

fn set(fd: BorrowedFd<'_>, change: impl FnOnce(u64) -> u64) {
    let is_one = world::with(|world| {
        let Ok(file) = world.descriptors.file(fd.as_raw_fd()) else {
            return false;
        };
        let Kind::EventCounter(count) = &mut world.files.get(file).kind else {
            return false;
        };
        *count = change(*count);
        if *count > 0 {
            world.notify(file, IN);
        }
        true
    });
    if !is_one {
        world::violated("a wake-up goes to a number that is no eventfd any more");
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<EventFd> for OwnedFd {
    fn from(event: EventFd) -> Self {
        event.0
    }
}
