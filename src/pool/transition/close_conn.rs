//! How a connection leaves: closed, or given to the program.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};

use crate::handle::{owners, Owned};
use crate::pool::conn::{Conn, WATCHED};
use crate::pool::runtime::runtime;
use crate::pool::state::counters::CloseCause;
use crate::sys::{fork, socket};

/// Ends the watch: before the descriptor is closed or given away.
fn unwatch(conn: &Conn) {
    if conn.has(WATCHED) {
        runtime().engines.unwatch(conn.fd());
    }
}

/// Really closes a connection that the pool no longer counts: the watch, the program's data, the
/// descriptor. Called without any lock, because the program's destructor runs in here.
pub(crate) fn close(conn: Owned<Conn>, cause: CloseCause) {
    if !conn.is_inherited() {
        conn.pool().emit_closed(&conn, cause);
    }
    shut(conn, cause);
}

/// Really closes a connection on a thread of the library: after the pool's end no event is
/// emitted.
pub(crate) fn close_in_background(conn: Owned<Conn>, cause: CloseCause) {
    let pool = conn.pool().clone();
    if pool.is_observed() {
        pool.gate.within(|| pool.emit_closed(&conn, cause));
    }
    shut(conn, cause);
}

/// Really closes a connection that the pool never counted: no event is emitted.
pub(crate) fn discard(conn: Owned<Conn>) {
    shut(conn, CloseCause::PoolClosed);
}

fn shut(conn: Owned<Conn>, cause: CloseCause) {
    // Code of the program that ran before it has forked, and this is the child.
    if conn.is_inherited() {
        return;
    }
    let is_ours = cause != CloseCause::ForeignFd && owners::is_owner(conn.raw_fd(), conn.place());
    if is_ours {
        unwatch(&conn);
    }
    if let Some(data) = conn.set_data(None) {
        // The destructor may say good-bye to the peer (SSL_shutdown), and must not wait for it.
        if is_ours && data.has_destructor() {
            let _ = socket::set_nonblocking(conn.fd(), true);
        }
        let before = fork::generation();
        data.free();
        if fork::has_come_back_in_a_child(before) {
            return;
        }
    }
    let fd = take_fd(conn);
    if is_ours && fork::has_forked() {
        // A copy in a child would keep the connection open. Asked as late as can be: another thread
        // may be forking.
        let _ = socket::shut_down(fd.as_fd());
    }
    if !is_ours {
        // The number belongs to somebody else by now: closing it would cut their connection.
        let _ = fd.into_raw_fd();
    }
}

/// Gives the descriptor to the program.
pub(crate) fn release(conn: Owned<Conn>) -> RawFd {
    if owners::is_owner(conn.raw_fd(), conn.place()) {
        unwatch(&conn);
    }
    take_fd(conn).into_raw_fd()
}

fn take_fd(conn: Owned<Conn>) -> OwnedFd {
    owners::release(conn.raw_fd(), conn.place());
    conn.into_inner().into_fd()
}
