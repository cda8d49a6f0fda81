//! A driver that dials by itself: the sockets of its sessions are its own.

use std::ffi::{c_char, c_int, c_void};
use std::net::SocketAddr;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};

use super::operations::{draw, sleep};
use crate::ffi::callback_types::{vcp_session, vcp_session_request};
use crate::sys::socket::{self, SocketKind};
use crate::values::endpoint::Endpoint;
use crate::world::network::Greeting;
use crate::world::sockets::SocketState;
use crate::world::time::MS;
use crate::world::{self, trace, violated};

/// A session, by its number: its descriptor, while it lives.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    at: SocketAddr,
    fd: Option<i32>,
    is_ended: bool,
}

/// A connected socket of the program's own; `None` where there is no peer.
pub(crate) fn connect(at: SocketAddr) -> Option<i32> {
    let takes = world::with(|world| match world.server_greets(at) {
        Some(Greeting::Accepts(takes)) => Some(takes),
        _ => None,
    })?;
    let domain = if at.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = SocketKind {
        domain,
        kind: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
    };
    let fd = socket::open(kind).ok()?;
    let began = socket::connect(fd.as_fd(), &Endpoint::Inet(at));
    if !began.ok()? {
        sleep((takes / MS) as u32 + 1);
    }
    let state = world::with(|world| {
        let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
        let file = world.descriptors.file(number).ok()?;
        world.files.socket(file).map(|socket| socket.state)
    });
    (state == Some(SocketState::Connected)).then(|| fd.into_raw_fd())
}

/// Closes a descriptor that is the program's.
pub(crate) fn close(fd: i32) {
    world::with(|world| world.set_drivers(fd, false));
    // SAFETY: the program's own.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// The library has given it away, so nobody has borrowed it.
pub(crate) fn must_be_mine(fd: i32, what: &str) {
    let owner = world::with(|world| {
        let file = world.descriptors.file(fd).ok()?;
        world.files.socket(file).map(|socket| socket.borrower)
    });
    if owner != Some(None) {
        violated(&format!("{what} gives away {fd}: {owner:?}"));
    }
}

fn open(at: SocketAddr) -> Option<i32> {
    let fd = connect(at)?;
    world::with(|world| world.set_drivers(fd, true));
    Some(fd)
}

/// `open_session`.
pub(crate) unsafe extern "C" fn open_session(
    _user: *mut c_void,
    request: *const vcp_session_request,
    session: *mut vcp_session,
) -> c_int {
    // SAFETY: both are valid while the callback runs (header).
    let (request, session) = unsafe { (&*request, &mut *session) };
    let Some(at) = server_of(request.address) else {
        return 1;
    };
    let Some(fd) = open(at) else {
        return 2;
    };
    let number = world::with(|world| {
        world.audit.sessions.push(Session {
            at,
            fd: Some(fd),
            is_ended: false,
        });
        world.audit.sessions.len()
    });
    trace::line(|| format!("session {number} is opened on {fd}"));
    session.data = number as *mut c_void;
    session.free_data = Some(end_session);
    session.fd = Some(session_fd);
    0
}

/// Of a literal address, or the first of a name's.
fn server_of(address: *const c_char) -> Option<SocketAddr> {
    // SAFETY: NUL-terminated (header).
    let text = unsafe { std::ffi::CStr::from_ptr(address) };
    let text = text.to_str().ok()?;
    text.parse().ok().or_else(|| {
        world::with(|world| {
            let host = text.split(':').next()?;
            let found = world.look_up(host).answer.ok()?;
            let ip = found.first()?.ip();
            Some(SocketAddr::new(ip, 80))
        })
    })
}

unsafe extern "C" fn session_fd(data: *mut c_void) -> c_int {
    let fd = world::with(|world| {
        let session = &world.audit.sessions[data as usize - 1];
        if session.is_ended {
            violated("an ended session is asked for its descriptor");
        }
        session.fd
    });
    world::step();
    fd.unwrap_or(-1)
}

unsafe extern "C" fn end_session(data: *mut c_void) {
    let fd = world::with(|world| {
        let session = &mut world.audit.sessions[data as usize - 1];
        if std::mem::replace(&mut session.is_ended, true) {
            violated("a session is ended twice");
        }
        session.fd.take()
    });
    trace::line(|| format!("session {} ends", data as usize));
    if let Some(fd) = fd {
        close(fd);
    }
}

/// As PQreset: the borrowed session has another socket from now on; its number.
pub(crate) fn reconnect(data: *mut c_void) -> Option<i32> {
    let (at, before) = world::with(|world| {
        let session = &world.audit.sessions[data as usize - 1];
        (session.at, session.fd)
    });
    if let Some(before) = before {
        close(before);
    }
    let fd = open(at);
    world::with(|world| world.audit.sessions[data as usize - 1].fd = fd);
    trace::line(|| format!("session {} reconnects: {fd:?}", data as usize));
    fd
}

/// The program ends a session that it has detached.
pub(crate) fn end_detached(data: *mut c_void) {
    // SAFETY: a session's number.
    unsafe { end_session(data) };
}

/// At the end.
pub(crate) fn check_sessions() {
    let is_left = world::with(|world| world.audit.sessions.iter().any(|one| !one.is_ended));
    if is_left {
        violated("a session is not ended");
    }
}

/// One in so many borrows of a session reconnects.
pub(crate) fn wants_to_reconnect() -> bool {
    draw(|random| random.one_in(4))
}
