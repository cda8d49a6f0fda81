//! Sockets over the world: TCP clients.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::sockaddr::RawAddress;
pub(crate) use crate::real_sys::socket::{Identity, Peek, SocketKind};
use crate::values::endpoint::Endpoint;
use crate::world::descriptors::error;
use crate::world::files::{FileId, Kind, ALL};
use crate::world::sockets::{Socket, SocketState};
use crate::world::{self, step, trace, World};

fn at<R>(number: RawFd, f: impl FnOnce(&mut World, FileId) -> Result<R, i32>) -> io::Result<R> {
    step();
    world::with(|world| {
        let file = world.descriptors.file(number)?;
        f(world, file).map_err(error)
    })
}

fn on<R>(fd: BorrowedFd<'_>, f: impl FnOnce(&mut Socket) -> Result<R, i32>) -> io::Result<R> {
    at(fd.as_raw_fd(), |world, file| {
        f(world.files.socket(file).ok_or(libc::ENOTSOCK)?)
    })
}

pub(crate) fn open(kind: SocketKind) -> io::Result<OwnedFd> {
    step();
    let number = world::with(|world| {
        if world.random.one_in(world.chances.fault) {
            let errno = world.random.pick(&[libc::ENOBUFS, libc::ENOMEM]);
            return Err(error(errno));
        }
        world.open(Kind::Socket(Box::new(Socket::new(kind.domain))))
    })?;
    trace::line(|| format!("socket() = {number}"));
    // SAFETY: a fresh number of the world's, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

pub(crate) fn connect(fd: BorrowedFd<'_>, to: &Endpoint) -> io::Result<bool> {
    let Endpoint::Inet(to) = *to else {
        return Err(error(libc::EAFNOSUPPORT));
    };
    let done = at(fd.as_raw_fd(), |world, file| {
        if world.random.one_in(world.chances.fault) {
            return Err(libc::EADDRNOTAVAIL);
        }
        match world.connect(file, to) {
            Err(libc::EALREADY) => Ok(false),
            result => result,
        }
    });
    trace::line(|| format!("connect({}, {to}) = {done:?}", fd.as_raw_fd()));
    done
}

pub(crate) fn bind(fd: BorrowedFd<'_>, _to: &RawAddress) -> io::Result<()> {
    on(fd, |_| Ok(()))
}

pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    on(fd, |socket| {
        socket.readable()?;
        Ok(socket.read(buffer))
    })
}

pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    at(fd.as_raw_fd(), |world, file| {
        let socket = world.files.socket(file).ok_or(libc::ENOTSOCK)?;
        match (socket.take_error(), socket.state) {
            (0, SocketState::Connected) if !socket.is_shut_write => {
                world.answer(file, bytes);
                Ok(bytes.len())
            }
            (0, _) => Err(libc::EPIPE),
            (errno, _) => Err(errno),
        }
    })
}

pub(crate) fn peek(fd: BorrowedFd<'_>, _is_datagram: bool) -> Peek {
    peek_at(fd.as_raw_fd())
}

pub(crate) fn is_quiet(fd: RawFd) -> bool {
    peek_at(fd) == Peek::Quiet
}

fn peek_at(number: RawFd) -> Peek {
    let found = at(number, |world, file| {
        world.files.socket(file).ok_or(libc::ENOTSOCK)?.readable()
    });
    match found {
        Ok(0) => Peek::End,
        Ok(_) => Peek::Data,
        Err(error) => match error.raw_os_error().unwrap_or(0) {
            libc::EAGAIN => Peek::Quiet,
            errno => Peek::Failed(errno),
        },
    }
}

pub(crate) fn set_option(fd: BorrowedFd<'_>, _: i32, _: i32, _: i32) -> io::Result<()> {
    on(fd, must_be_the_pools)
}

fn must_be_the_pools(socket: &mut Socket) -> Result<(), i32> {
    if socket.is_drivers {
        world::violated("the library changes a driver's descriptor");
    }
    Ok(())
}

pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<i32> {
    on(fd, |socket| Ok(socket.take_error()))
}

pub(crate) fn may_linger(_fd: BorrowedFd<'_>) -> bool {
    false
}

pub(crate) fn shut_down(fd: BorrowedFd<'_>) -> io::Result<()> {
    shut_down_directions(fd, libc::SHUT_RDWR)
}

pub(crate) fn shut_down_directions(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    trace::line(|| format!("shutdown({}, {how})", fd.as_raw_fd()));
    at(fd.as_raw_fd(), |world, file| {
        let socket = world.files.socket(file).ok_or(libc::ENOTSOCK)?;
        if socket.state != SocketState::Connected {
            return Err(libc::ENOTCONN);
        }
        socket.is_shut_read |= how != libc::SHUT_WR;
        socket.is_shut_write |= how != libc::SHUT_RD;
        world.notify(file, ALL);
        Ok(())
    })
}

pub(crate) fn is_stream(fd: BorrowedFd<'_>) -> io::Result<bool> {
    on(fd, |_| Ok(true))
}

pub(crate) fn kind(fd: BorrowedFd<'_>) -> io::Result<SocketKind> {
    on(fd, |socket| {
        Ok(SocketKind {
            domain: socket.domain,
            kind: libc::SOCK_STREAM,
            protocol: libc::IPPROTO_TCP,
        })
    })
}

pub(crate) fn peer(fd: BorrowedFd<'_>) -> io::Result<Option<Endpoint>> {
    on(fd, |socket| match (socket.state, socket.to) {
        (SocketState::Connected, Some(to)) => Ok(Some(Endpoint::Inet(to))),
        _ => Err(libc::ENOTCONN),
    })
}

pub(crate) fn local(fd: BorrowedFd<'_>) -> io::Result<Option<Endpoint>> {
    let number = fd.as_raw_fd() as u16;
    on(fd, |socket| {
        let port = 40_000 + number;
        Ok(Some(Endpoint::Inet(if socket.domain == libc::AF_INET6 {
            SocketAddr::from((Ipv6Addr::LOCALHOST, port))
        } else {
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        })))
    })
}

/// One device; a file's number is its inode.
pub(crate) fn identity(fd: RawFd) -> io::Result<Identity> {
    at(fd, |_, file| Ok(Identity::from_bits(8 << 32 | file as u64)))
}

pub(crate) fn close_inherited(_fd: RawFd, _was: Identity) {
    unreachable!("no history forks")
}

pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> io::Result<bool> {
    on(fd, |socket| Ok(socket.is_nonblocking))
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    on(fd, |socket| {
        must_be_the_pools(socket)?;
        socket.is_nonblocking = nonblocking;
        Ok(())
    })
}

pub(crate) fn set_close_on_exec(fd: BorrowedFd<'_>, _wanted: bool) -> io::Result<bool> {
    on(fd, |_| Ok(true))
}

pub(crate) fn set_bind_address_no_port(fd: BorrowedFd<'_>) -> io::Result<()> {
    on(fd, |_| Ok(()))
}
