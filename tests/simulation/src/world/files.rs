//! What descriptors stand for: sockets, event counters, and epoll instances with their lists.
//!
//! epoll is modeled after fs/eventpoll.c: what happens to a file queues its registrations whose
//! events match; a look at the queue reports those that are still so, and an edge-triggered one
//! leaves the queue by that.

use super::descriptors::error;
use super::sockets::Socket;
use super::World;
use std::io;

pub(crate) type FileId = usize;

/// Always reported, asked for or not.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
/// Everything may have changed.
pub(crate) const ALL: u32 = u32::MAX;
pub(crate) const IN: u32 = libc::EPOLLIN as u32;
pub(crate) const OUT: u32 = libc::EPOLLOUT as u32;
const EDGE: u32 = libc::EPOLLET as u32;

/// One registration with an epoll instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    number: i32,
    file: FileId,
    events: u32,
    data: u64,
    is_queued: bool,
}

pub(crate) enum Kind {
    EventCounter(u64),
    Epoll(Vec<Registration>),
    Socket(Box<Socket>),
}

pub(crate) struct File {
    pub(crate) kind: Kind,
    pub(crate) is_open: bool,
    /// epoll instances that have it on their lists.
    watched_by: Vec<FileId>,
}

#[derive(Default)]
pub(crate) struct Files {
    all: Vec<File>,
}

/// Woken at every change of the file.
pub(crate) fn key(file: FileId) -> u64 {
    1 << 62 | file as u64
}

impl Files {
    pub(super) fn add(&mut self, kind: Kind) -> FileId {
        self.all.push(File {
            kind,
            is_open: true,
            watched_by: Vec::new(),
        });
        self.all.len() - 1
    }

    pub(crate) fn get(&mut self, file: FileId) -> &mut File {
        &mut self.all[file]
    }

    pub(crate) fn socket(&mut self, file: FileId) -> Option<&mut Socket> {
        match &mut self.all[file].kind {
            Kind::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    pub(crate) fn sockets(&mut self) -> impl Iterator<Item = (FileId, &mut Socket)> {
        let all = self.all.iter_mut().enumerate();
        all.filter_map(|(id, file)| match &mut file.kind {
            Kind::Socket(socket) if file.is_open => Some((id, &mut **socket)),
            _ => None,
        })
    }

    fn registrations(&mut self, epoll: FileId) -> io::Result<&mut Vec<Registration>> {
        match &mut self.all[epoll].kind {
            Kind::Epoll(list) => Ok(list),
            _ => Err(error(libc::EINVAL)),
        }
    }

    /// What poll(2) would report now.
    pub(crate) fn readiness(&self, file: FileId) -> u32 {
        match &self.all[file].kind {
            Kind::EventCounter(0) => OUT,
            Kind::EventCounter(_) => IN | OUT,
            Kind::Epoll(_) => 0,
            Kind::Socket(socket) => socket.readiness(),
        }
    }
}

impl World {
    /// Something happened to a file: wakes who polls it, and queues it where it is watched.
    pub(crate) fn notify(&mut self, file: FileId, events: u32) {
        self.wake_on(key(file), usize::MAX);
        for epoll in self.files.get(file).watched_by.clone() {
            let mut is_queued = false;
            for one in self.files.registrations(epoll).into_iter().flatten() {
                if one.file == file && (one.events | ALWAYS) & events != 0 {
                    one.is_queued = true;
                    is_queued = true;
                }
            }
            if is_queued {
                self.wake_on(key(epoll), usize::MAX);
            }
        }
    }

    /// epoll_ctl(2).
    pub(crate) fn epoll_control(
        &mut self,
        epoll: i32,
        operation: i32,
        number: i32,
        events: u32,
        data: u64,
    ) -> io::Result<()> {
        let epoll = self.descriptors.file(epoll)?;
        let file = self.descriptors.file(number)?;
        let list = self.files.registrations(epoll)?;
        let at = list
            .iter()
            .position(|one| one.number == number && one.file == file);
        match (operation, at) {
            (libc::EPOLL_CTL_ADD, Some(_)) => return Err(error(libc::EEXIST)),
            (libc::EPOLL_CTL_ADD, None) => {
                if self.random.one_in(self.chances.fault) {
                    let errno = self.random.pick(&[libc::ENOSPC, libc::ENOMEM]);
                    return Err(error(errno));
                }
                self.add_registration(epoll, number, file, events, data);
            }
            (_, None) => return Err(error(libc::ENOENT)),
            (libc::EPOLL_CTL_MOD, Some(at)) => {
                list[at].events = events;
                list[at].data = data;
                list[at].is_queued = false;
            }
            (_, Some(at)) => {
                list.swap_remove(at);
                if let Some(socket) = self.files.socket(file) {
                    socket.watched_since = None;
                }
                self.files.get(file).watched_by.retain(|&one| one != epoll);
                return Ok(());
            }
        }
        self.queue_if_ready(epoll, file, events);
        Ok(())
    }

    fn add_registration(
        &mut self,
        epoll: FileId,
        number: i32,
        file: FileId,
        events: u32,
        data: u64,
    ) {
        let list = self.files.registrations(epoll).into_iter();
        list.for_each(|list| {
            list.push(Registration {
                number,
                file,
                events,
                data,
                is_queued: false,
            });
        });
        self.files.get(file).watched_by.push(epoll);
        let rests = self.rests;
        if let Some(socket) = self.files.socket(file) {
            socket.watched_since = Some(rests);
        }
    }

    fn queue_if_ready(&mut self, epoll: FileId, file: FileId, events: u32) {
        if self.files.readiness(file) & (events | ALWAYS) == 0 {
            return;
        }
        for one in self.files.registrations(epoll).into_iter().flatten() {
            one.is_queued |= one.file == file;
        }
        self.wake_on(key(epoll), usize::MAX);
    }

    /// What epoll_wait(2) would return at once.
    pub(crate) fn take_events(&mut self, epoll: i32) -> io::Result<Vec<(u32, u64)>> {
        let epoll = self.descriptors.file(epoll)?;
        let mut list = std::mem::take(self.files.registrations(epoll)?);
        let mut found = Vec::new();
        for one in list.iter_mut().filter(|one| one.is_queued) {
            let ready = self.files.readiness(one.file) & (one.events | ALWAYS);
            one.is_queued = ready != 0 && one.events & EDGE == 0;
            if ready != 0 {
                found.push((ready, one.data));
            }
        }
        *self.files.registrations(epoll)? = list;
        Ok(found)
    }

    /// The last descriptor of it is closed.
    pub(super) fn close_file(&mut self, file: FileId) {
        self.leave_network(file);
        let closed = self.files.get(file);
        closed.is_open = false;
        let watched_by = std::mem::take(&mut closed.watched_by);
        for epoll in watched_by {
            if let Ok(list) = self.files.registrations(epoll) {
                list.retain(|one| one.file != file);
            }
        }
        self.wake_on(key(file), usize::MAX);
    }
}
