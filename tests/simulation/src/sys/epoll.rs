//! epoll(7) over the world.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

pub(crate) use crate::real_sys::epoll::{
    EpollEvent, EDGE, FAILED, HANG_UP, PEER_HANG_UP, READABLE, WRITABLE,
};
use crate::values::clock::Time;
use crate::world::files::{key, Kind};
use crate::world::{self, step, tasks, time};

#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        step();
        let number = world::with(|world| world.open(Kind::Epoll(Vec::new())))?;
        // SAFETY: a fresh number of the world's, which nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32, data: u64) -> io::Result<()> {
        step();
        let epoll = self.0.as_raw_fd();
        world::with(|world| world.epoll_control(epoll, operation, fd, events, data))
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, events: u32, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), events, data)
    }

    pub(crate) fn modify(&self, fd: BorrowedFd<'_>, events: u32, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), events, data)
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.remove_number(fd.as_raw_fd())
    }

    pub(crate) fn remove_number(&self, number: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, number, 0, 0)
    }

    pub(crate) fn wait(
        &self,
        until: Option<Time>,
        mut each: impl FnMut(EpollEvent),
    ) -> io::Result<()> {
        step();
        let epoll = self.0.as_raw_fd();
        let (until, file) = world::with(|world| {
            let file = world.descriptors.file(epoll)?;
            Ok::<_, io::Error>((until.map(|until| in_whole_ms(world.now, until)), file))
        })?;
        loop {
            let (events, is_over) = world::with(|world| {
                let is_over = until.is_some_and(|until| until <= world.now);
                Ok::<_, io::Error>((world.take_events(epoll)?, is_over))
            })?;
            if !events.is_empty() || is_over {
                for (events, data) in events {
                    each(EpollEvent { events, data });
                }
                return Ok(());
            }
            tasks::sleep_on(&[key(file)], until, "epoll_wait");
        }
    }
}

/// epoll_wait(2) sleeps for whole milliseconds, rounded up.
fn in_whole_ms(now: u64, until: Time) -> u64 {
    let left = until.nanos().saturating_sub(now);
    now.saturating_add(left.div_ceil(time::MS).saturating_mul(time::MS))
}
