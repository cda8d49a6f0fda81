//! How a connection leaves: closed, or given to the program.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, IntoRawFd, RawFd};

use crate::handle::{fd_owners, Owned};
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::{Conn, WATCHED};
use crate::pool::runtime::runtime;
use crate::pool::state::answer::Closed;
use crate::pool::state::counters::CloseCause;
use crate::pool::Pool;
use crate::sys::foreign::{ConnFd, ProgramFd};
use crate::sys::{fork, socket};

/// Ends the watch: before the descriptor is closed or given away.
fn unwatch(conn: &Conn) {
    if let (true, Some(fd)) = (conn.has(WATCHED), conn.fd()) {
        runtime().engines.unwatch(fd);
    }
}

/// A session's driver has another socket by now. The watch on one that is closed ended with it
/// (epoll(7), question 6).
pub(crate) fn forget_socket(conn: &Owned<Conn>) {
    if conn.has_own_socket() {
        unwatch(conn);
    }
    // Under the lock: the engine may hold an event of the old one.
    let state = conn.pool().locked();
    conn.forget_socket();
    drop(state);
}

/// Really closes a connection that the pool no longer counts: the watch, the program's data, the
/// descriptor. Called without any lock, because code of the program runs in here.
pub(crate) fn close(closed: Closed<Owned<Conn>>) {
    close_with(closed, |pool, conn, cause| pool.emit_closed(conn, cause));
}

/// Really closes a connection after the pool's end, or one of a pool without on_event: no event is
/// emitted.
pub(crate) fn close_untold(closed: Closed<Owned<Conn>>) {
    close_with(closed, |_, _, _| {});
}

/// Its slot is free when CLOSED has been told and the descriptor is closed.
fn close_with(closed: Closed<Owned<Conn>>, emit: impl FnOnce(&Pool, &Conn, CloseCause)) {
    let Closed {
        conn,
        cause,
        untold,
    } = closed;
    let was_foreign = cause == CloseCause::ForeignFd;
    let Some(is_own) = free_data(&conn, was_foreign) else {
        return;
    };
    let pool = conn.pool().clone();
    // A defect: nothing ever lets go of the pool (tests/planted).
    #[cfg(feature = "plant-leak")]
    std::mem::forget(pool.clone());
    let cause = if is_own || conn.is_session() {
        cause
    } else {
        pool.count_as_foreign(cause);
        CloseCause::ForeignFd
    };
    pool.tell_then(untold.map(FollowUp::Free), || {
        // The descriptor still is open, so that its number means nothing else to the observer.
        emit(&pool, &conn, cause);
        close_fd(conn, is_own);
    });
}

/// Really closes a connection that the pool never counted: no event is emitted.
pub(crate) fn discard(conn: Owned<Conn>) {
    if let Some(is_own) = free_data(&conn, false) {
        close_fd(conn, is_own);
    }
}

/// Ends the watch and frees the program's data; whether the number still stands for the
/// connection's own socket then. A driver that was lent it may have closed it, in its destructor at
/// the latest (redisFree, ldap_unbind), and the number may be another file's by now. The number of
/// a session is its driver's, which ends it here: the library lets go of it before. `None`: code of
/// the program has forked, and this is the child.
fn free_data(conn: &Owned<Conn>, was_foreign: bool) -> Option<bool> {
    if conn.is_inherited() {
        return None;
    }
    let is_own = !was_foreign && conn.has_own_socket();
    if is_own {
        unwatch(conn);
    }
    if conn.is_session() {
        fd_owners::release(conn.raw_fd(), conn.slot_id());
    }
    let Some(data) = conn.set_data(None) else {
        return Some(is_own);
    };
    let has_destructor = data.has_destructor();
    // The destructor may say good-bye to the peer (SSL_shutdown), and must not wait for it.
    if is_own && has_destructor {
        let _ = conn.force_mode(true);
    }
    let before = fork::epoch();
    data.free();
    if fork::enter_if_forked(before) {
        return None;
    }
    Some(is_own && (!has_destructor || conn.has_own_socket()))
}

fn close_fd(conn: Owned<Conn>, is_own: bool) {
    // on_event has forked, and this is the child.
    if conn.is_inherited() {
        return;
    }
    let Some(fd) = take_fd(conn).into_own() else {
        return;
    };
    if !is_own {
        // The number may stand for another file: closing it would cut what is not the pool's.
        let _ = fd.into_raw_fd();
    } else if fork::has_forked() {
        // A copy in a child would keep the connection open. Asked as late as can be: another thread
        // may be forking.
        let _ = socket::shut_down(fd.as_fd());
    }
}

/// Gives a connection to the program; what a dial of it returned. The descriptor of a session is
/// its driver's as before.
pub(crate) fn release(conn: Owned<Conn>) -> RawFd {
    let number = conn.lent_fd();
    release_fd(conn).map_or(number, |fd| fd.number())
}

/// Gives the pool's own descriptor to the program.
pub(crate) fn release_fd(conn: Owned<Conn>) -> Option<ProgramFd> {
    if fd_owners::is_owner(conn.raw_fd(), conn.slot_id()) {
        unwatch(&conn);
    }
    take_fd(conn).into_own().map(ProgramFd::give)
}

fn take_fd(conn: Owned<Conn>) -> ConnFd {
    fd_owners::release(conn.raw_fd(), conn.slot_id());
    conn.into_inner().into_fd()
}
