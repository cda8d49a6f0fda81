//! Sockets: socket(2), connect(2), recv(2), send(2), getsockopt(2), fcntl(2).
//!
//! The calls that wait are made without waiting (MSG_DONTWAIT, non-blocking connect); whoever must
//! wait polls.

use std::io;
use std::mem::{size_of, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::sockaddr::RawAddress;
use crate::values::endpoint::Endpoint;

/// What socket(2) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketKind {
    pub(crate) domain: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
}

impl SocketKind {
    /// One datagram per read, and no hang-up to be seen (SOCK_SEQPACKET has one).
    pub(crate) fn is_datagram(self) -> bool {
        matches!(
            self.kind,
            libc::SOCK_DGRAM | libc::SOCK_RAW | libc::SOCK_RDM
        )
    }
}

/// Which file a descriptor stands for: stat(2)'s device and inode, which outlive the number's
/// reuse. The low halves: the kernel numbers sockets, and the devices of file systems without one,
/// by 32 bits (fs/inode.c, get_next_ino; fs/super.c, get_anon_bdev).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    device: u32,
    inode: u32,
}

impl Identity {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.device) << 32 | u64::from(self.inode)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            device: (bits >> 32) as u32,
            inode: bits as u32,
        }
    }
}

/// What a look at the receive queue found, without taking anything out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    /// Open, and nothing to read.
    Quiet,
    /// Open, and there are unread bytes (or an unread datagram).
    Data,
    /// End of stream.
    End,
    /// Failed, with this errno.
    Failed(i32),
}

/// A new socket, non-blocking and close-on-exec.
pub(crate) fn open(kind: SocketKind) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the result is a fresh descriptor that nobody else owns.
    unsafe {
        let fd = syscall!(socket(kind.domain, kind.kind | flags, kind.protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Starts to connect; `true` when it is done already.
pub(crate) fn connect(fd: BorrowedFd<'_>, to: &Endpoint) -> io::Result<bool> {
    let address = RawAddress::from(to);
    // SAFETY: the pointer and the length describe `address`.
    match unsafe { syscall!(connect(fd.as_raw_fd(), address.as_ptr(), address.len())) } {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            // EINTR: the connection is being made all the same (connect(2)). EALREADY: it was begun
            // before.
            Some(libc::EINPROGRESS | libc::EINTR | libc::EALREADY) => Ok(false),
            _ => Err(error),
        },
    }
}

pub(crate) fn bind(fd: BorrowedFd<'_>, to: &RawAddress) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `to`.
    unsafe { syscall!(bind(fd.as_raw_fd(), to.as_ptr(), to.len())) }.map(drop)
}

/// As recv(2), never waiting whatever the descriptor's mode. WouldBlock is an error like any other.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and the length describe `buffer`.
        let result = unsafe {
            syscall!(recv(
                fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
            ))
        };
        match result {
            Ok(count) => return Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// As send(2), never waiting and never raising SIGPIPE. May send a part.
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and the length describe `bytes`.
        let result = unsafe {
            syscall!(send(
                fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            ))
        };
        match result {
            Ok(count) => return Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// One recv(MSG_PEEK | MSG_DONTWAIT) of one byte, by syscall(2): no cancellation point
/// (pthreads(7)), since the hit path makes this call without deferring cancellation first.
pub(crate) fn peek(fd: BorrowedFd<'_>, is_datagram: bool) -> Peek {
    peek_at(fd.as_raw_fd(), is_datagram)
}

/// As [`peek`], of a stream's number that may stand for something else by now: nothing has arrived.
#[inline(always)]
pub(crate) fn is_quiet(fd: RawFd) -> bool {
    peek_at(fd, false) == Peek::Quiet
}

#[inline(always)]
fn peek_at(fd: RawFd, is_datagram: bool) -> Peek {
    let mut byte = 0u8;
    loop {
        // SAFETY: one writable byte; recvfrom without an address is recv.
        let count = unsafe {
            libc::syscall(
                libc::SYS_recvfrom,
                fd,
                &mut byte as *mut u8,
                1usize,
                libc::MSG_PEEK | libc::MSG_DONTWAIT,
                std::ptr::null_mut::<libc::sockaddr>(),
                std::ptr::null_mut::<libc::socklen_t>(),
            )
        };
        return match count {
            0 if !is_datagram => Peek::End,
            0.. => Peek::Data,
            // SAFETY: the address of this thread's errno is valid for as long as the thread.
            _ => match unsafe { *libc::__errno_location() } {
                libc::EAGAIN => Peek::Quiet,
                libc::EINTR => continue,
                errno => Peek::Failed(errno),
            },
        };
    }
}

fn option<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has `length` writable bytes; T is a plain integer, for which zeroes are
    // valid.
    unsafe {
        syscall!(getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut length,
        ))?;
        Ok(value.assume_init())
    }
}

/// setsockopt(2) with an int.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let bytes: *const i32 = &value;
    // SAFETY: the pointer and the length describe `value`.
    unsafe {
        syscall!(setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            bytes.cast(),
            size_of::<i32>() as libc::socklen_t,
        ))
    }
    .map(drop)
}

/// SO_ERROR: what an asynchronous connect ended with (0: it succeeded). Reading it clears it.
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<i32> {
    option(fd, libc::SOL_SOCKET, libc::SO_ERROR)
}

/// close(2) may wait for the peer: SO_LINGER is on, with a time (socket(7)).
pub(crate) fn may_linger(fd: BorrowedFd<'_>) -> bool {
    let set: io::Result<[i32; 2]> = option(fd, libc::SOL_SOCKET, libc::SO_LINGER);
    set.is_ok_and(|[is_on, seconds]| is_on != 0 && seconds != 0)
}

/// Ends both directions, for every copy of the descriptor.
pub(crate) fn shut_down(fd: BorrowedFd<'_>) -> io::Result<()> {
    shut_down_directions(fd, libc::SHUT_RDWR)
}

/// Ends one direction or both (SHUT_RD, SHUT_WR, SHUT_RDWR), for every copy of the descriptor.
pub(crate) fn shut_down_directions(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall!(shutdown(fd.as_raw_fd(), how)) }.map(drop)
}

/// A stream of bytes, with no bounds between messages; fails with ENOTSOCK or EBADF for no socket.
pub(crate) fn is_stream(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let kind: i32 = option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?;
    Ok(kind == libc::SOCK_STREAM)
}

/// What kind of socket this is; fails with ENOTSOCK or EBADF for anything else.
pub(crate) fn kind(fd: BorrowedFd<'_>) -> io::Result<SocketKind> {
    Ok(SocketKind {
        domain: option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)?,
        kind: option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?,
        protocol: option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL)?,
    })
}

/// The peer's address; fails with ENOTCONN where there is none.
pub(crate) fn peer(fd: BorrowedFd<'_>) -> io::Result<Option<Endpoint>> {
    let raw = RawAddress::filled_by(|address, length| {
        // SAFETY: `filled_by` hands out a writable address and its length.
        unsafe { syscall!(getpeername(fd.as_raw_fd(), address, length)) }.map(drop)
    })?;
    Ok(raw.endpoint())
}

/// The own address; `None` for a Unix socket without a name.
pub(crate) fn local(fd: BorrowedFd<'_>) -> io::Result<Option<Endpoint>> {
    let raw = RawAddress::filled_by(|address, length| {
        // SAFETY: as in `peer`.
        unsafe { syscall!(getsockname(fd.as_raw_fd(), address, length)) }.map(drop)
    })?;
    Ok(raw.endpoint())
}

/// fstat(2): device and inode. For a number of which nothing else is known, so not yet a
/// `BorrowedFd`.
pub(crate) fn identity(fd: RawFd) -> io::Result<Identity> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is writable, and all zeroes is valid for it.
    let stat = unsafe {
        syscall!(fstat(fd, stat.as_mut_ptr()))?;
        stat.assume_init()
    };
    Ok(Identity {
        device: stat.st_dev as u32,
        inode: stat.st_ino as u32,
    })
}

/// Closes this process's copy of a descriptor that its parent opened, if the number still stands
/// for that file. By syscall(2): a signal handler may call this, and it is no cancellation point.
pub(crate) fn close_inherited(fd: RawFd, was: Identity) {
    if identity(fd).is_ok_and(|now| now == was) {
        // SAFETY: the file is the library's own, and of this process's owners of the number none is
        // left.
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
}

pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: no pointers.
    let flags = unsafe { syscall!(fcntl(fd.as_raw_fd(), libc::F_GETFL)) }?;
    Ok(flags & libc::O_NONBLOCK != 0)
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    let wanted = libc::c_int::from(nonblocking);
    // SAFETY: FIONBIO reads one int (ioctl(2)); one call, where F_GETFL and F_SETFL are two.
    unsafe { syscall!(ioctl(fd.as_raw_fd(), libc::FIONBIO, &wanted)) }.map(drop)
}

/// Sets or clears close-on-exec; returns what it was.
pub(crate) fn set_close_on_exec(fd: BorrowedFd<'_>, wanted: bool) -> io::Result<bool> {
    // SAFETY: no pointers.
    unsafe {
        let flags = syscall!(fcntl(fd.as_raw_fd(), libc::F_GETFD))?;
        let was = flags & libc::FD_CLOEXEC != 0;
        if was != wanted {
            syscall!(fcntl(
                fd.as_raw_fd(),
                libc::F_SETFD,
                flags ^ libc::FD_CLOEXEC
            ))?;
        }
        Ok(was)
    }
}

/// IP(V6)_BIND_ADDRESS_NO_PORT: bind(2) fixes the address only, connect(2) chooses the port
/// (ip(7)).
pub(crate) fn set_bind_address_no_port(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}
