//! One borrow, and what must hold of it.

use std::ffi::c_int;

use super::{audit, driver};
use crate::ffi::basics::enums::VCP_LIVENESS_STRICT;
use crate::ffi::basics::status::VCP_ERR_SYSTEM;
use crate::ffi::conn::borrow::{
    vcp_conn_close, vcp_conn_detach, vcp_conn_discard, vcp_conn_is_reused, vcp_conn_raw_fd,
};
use crate::ffi::conn::data::{vcp_conn_data, vcp_conn_set_data};
use crate::ffi::conn::deadlines::vcp_conn_set_deadline;
use crate::ffi::conn::io::{vcp_conn_read, vcp_conn_write};
use crate::ffi::handles::vcp_conn;
use crate::world::sockets::SocketState;
use crate::world::time::MS;
use crate::world::{self, step, trace, violated, World};

/// When a call began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    pub(crate) at: u64,
    pub(crate) moment: u64,
    rests: u64,
    slipped: u64,
}

impl Began {
    pub(crate) fn now() -> Self {
        world::with(|world| {
            world.moment += 1;
            Self {
                at: world.now,
                moment: world.moment,
                rests: world.rests,
                slipped: world.slipped,
            }
        })
    }

    /// The call, which was given so long, has ended in time.
    pub(crate) fn check_in_time(&self, what: &str, timeout_ms: i64) {
        if timeout_ms < 0 {
            return;
        }
        self.check_ended_by(what, self.at + timeout_ms as u64 * MS);
    }

    pub(crate) fn check_ended_by(&self, what: &str, until: u64) {
        let (now, until) = world::with(|world| (world.now, until + self.slipped_since(world)));
        if now > until {
            let late = (now - until) as f64 / 1e6;
            violated(&format!("{what} returns {late} ms late"));
        }
    }

    /// How much time has passed since while a thread could run.
    pub(crate) fn slipped_since(&self, world: &World) -> u64 {
        world.slipped - self.slipped
    }
}

/// A connection that this thread has borrowed.
pub(crate) struct Borrow {
    conn: *mut vcp_conn,
    fd: c_int,
}

impl Borrow {
    /// Enters it in the books: it has no other owner, lives, and nobody has left bytes in it.
    pub(crate) fn enter(conn: *mut vcp_conn, fd: c_int, began: Began, liveness: i32) -> Self {
        let is_reused = vcp_conn_is_reused(conn) == 1;
        if vcp_conn_raw_fd(conn) != fd {
            violated("a dial returns another descriptor than vcp_conn_raw_fd");
        }
        world::with(|world| {
            world.audit.borrows += 1;
            let current = world.tasks.current;
            let file = world.descriptors.file(fd);
            let file = file.unwrap_or_else(|_| violated("a borrowed descriptor is closed"));
            let socket = world.files.socket(file);
            let socket = socket.unwrap_or_else(|| violated("a borrowed descriptor is no socket"));
            if let Some(owner) = socket.borrower.replace(current) {
                violated(&format!(
                    "connection {file} has two owners: task {owner} too"
                ));
            }
            if matches!(socket.state, SocketState::Fresh | SocketState::Connecting) {
                violated("a connection is handed out that is not connected");
            }
            let is_strict = liveness == VCP_LIVENESS_STRICT;
            let unread = socket.unread.filter(|_| is_strict);
            if unread.is_some_and(|unread| is_reused && unread.moment < began.moment) {
                violated("STRICT hands out what was dead or dirty before the dial began");
            }
            // All threads have slept since it died under the watch: the engine has seen it.
            let seen = socket.dead_since.zip(socket.watched_since);
            let seen = seen.map(|(dead, since)| dead.rests.max(since));
            if is_reused && seen.is_some_and(|rests| rests < began.rests) {
                violated("a connection is handed out that the watch has seen die");
            }
        });
        Self { conn, fd }
    }

    pub(crate) fn is_session(&self) -> bool {
        world::with(|world| world.is_drivers(self.fd))
    }

    /// Its driver has another socket from now on. False if it has none: the session is at its end.
    pub(crate) fn reconnect(&mut self) -> bool {
        self.leave();
        let Some(fd) = driver::reconnect(vcp_conn_data(self.conn)) else {
            vcp_conn_close(self.conn);
            return false;
        };
        self.fd = fd;
        world::with(|world| {
            let current = world.tasks.current;
            let file = world.descriptors.file(fd).ok();
            let socket = file.and_then(|file| world.files.socket(file));
            if let Some(socket) = socket {
                socket.borrower = Some(current);
            }
        });
        true
    }

    /// The program's side of a connection's end.
    fn leave(&self) {
        step();
        world::with(|world| {
            let current = world.tasks.current;
            let file = world.descriptors.file(self.fd);
            let file = file.unwrap_or_else(|_| violated("a borrowed descriptor was closed"));
            let socket = world.files.socket(file);
            let owner = socket.and_then(|socket| socket.borrower.take());
            if owner != Some(current) {
                violated(&format!("connection {file} was task {owner:?}'s meanwhile"));
            }
        });
    }

    /// Gives it data that the library frees, if it has none.
    pub(crate) fn set_data(&self) {
        if vcp_conn_data(self.conn).is_null() {
            let data = audit::new_data();
            // SAFETY: the pointer is never dereferenced.
            let set = unsafe { vcp_conn_set_data(self.conn, data, Some(audit::free_data)) };
            if set != 0 {
                audit::keep_data(data);
            }
        }
    }

    /// Sends a few bytes and wants them back, within so long.
    pub(crate) fn echo(&self, timeout_ms: i64) {
        vcp_conn_set_deadline(self.conn, timeout_ms);
        let began = Began::now();
        let request = began.moment.to_ne_bytes();
        // SAFETY: so many readable bytes.
        let written = unsafe { vcp_conn_write(self.conn, request.as_ptr().cast(), request.len()) };
        began.check_in_time("a write", timeout_ms);
        if written != request.len() as i64 {
            trace::line(|| format!("write = {written}"));
            return;
        }
        let mut answer = [0u8; 8];
        // SAFETY: so many writable bytes.
        let read = unsafe { vcp_conn_read(self.conn, answer.as_mut_ptr().cast(), answer.len()) };
        began.check_in_time("a read", timeout_ms);
        trace::line(|| format!("echo = {read}"));
        let is_stray = read > 0 && answer[0] == b's';
        if read > 0 && !is_stray && answer[..read as usize] != request[..read as usize] {
            violated("a borrower reads another one's answer");
        }
        if is_stray || read == i64::from(VCP_ERR_SYSTEM) {
            // Its own answer may still come, and the header leaves this to the program.
            vcp_conn_discard(self.conn);
        }
    }

    pub(crate) fn give_back(self) {
        trace::line(|| format!("gives back {}", self.fd));
        self.leave();
        let closed = vcp_conn_close(self.conn);
        if closed != 0 {
            violated(&format!("vcp_conn_close of a live handle returns {closed}"));
        }
    }

    pub(crate) fn discard(self) {
        vcp_conn_discard(self.conn);
        self.give_back();
    }

    pub(crate) fn detach(self) {
        trace::line(|| format!("detaches {}", self.fd));
        self.leave();
        let is_session = self.is_session();
        let data = vcp_conn_data(self.conn);
        let fd = vcp_conn_detach(self.conn);
        // A session may have reconnected: then it is the number that its driver told last.
        if fd != self.fd && !is_session {
            violated(&format!("vcp_conn_detach returns {fd}, not {}", self.fd));
        }
        if is_session {
            driver::end_detached(data);
        } else {
            audit::keep_data(data);
            driver::close(fd);
        }
    }
}
