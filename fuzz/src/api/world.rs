//! What a sequence has made: pools, connections, tokens, a queue; and what must hold of them.

use std::ffi::c_char;
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};

use vconnpool::ffi::cancel::{vcp_cancel_free, vcp_cancel_new};
use vconnpool::ffi::conn::borrow::vcp_conn_close;
use vconnpool::ffi::handles::{vcp_cancel, vcp_conn, vcp_pool, vcp_queue};
use vconnpool::ffi::pool::contents::vcp_pool_conn_count;
use vconnpool::ffi::pool::lifecycle::{vcp_pool_close, vcp_pool_new};
use vconnpool::ffi::pool::options::{vcp_pool_options, vcp_pool_options_init};
use vconnpool::ffi::pool::stats::{vcp_pool_stats, vcp_stats};
use vconnpool::ffi::queue::{vcp_queue_free, vcp_queue_new};

use super::callbacks;
use super::servers::{text_of, Server};
use crate::bytes::Bytes;
use crate::status::checked;

pub(super) const NETWORK: *const c_char = c"unix".as_ptr();
const MOST_CONNS: usize = 16;
/// Handles that are dead, to be passed again.
const MOST_STALE: usize = 32;

/// A connection that this thread has borrowed.
#[derive(Clone, Copy)]
pub(super) struct Borrowed {
    pub(super) conn: *mut vcp_conn,
    /// Its descriptor, or 0 for a session without one.
    pub(super) fd: i32,
}

pub(super) struct World {
    pub(super) pool: *mut vcp_pool,
    pub(super) max_conns: i64,
    pub(super) servers: [Server; 2],
    pub(super) conns: Vec<Borrowed>,
    pub(super) stale: Vec<*mut vcp_conn>,
    pub(super) token: *mut vcp_cancel,
    pub(super) queue: *mut vcp_queue,
    /// Asynchronous dials, hooks and refills are work that may last a moment longer.
    pub(super) works_alone: bool,
}

/// Options as the fuzzer says; each alone may be bad.
pub(super) fn pool_options(bytes: &mut Bytes<'_>) -> vcp_pool_options {
    // SAFETY: plain data, for which zeroes are valid; filled by the library.
    let mut options: vcp_pool_options = unsafe { zeroed() };
    // SAFETY: a whole struct.
    checked(unsafe { vcp_pool_options_init(&mut options, size_of::<vcp_pool_options>()) });
    options.max_idle_per_address = bytes.pick(&[8, 0, 1, 2]);
    options.max_idle = bytes.pick(&[0, 1, 2, 3]);
    options.max_conns = bytes.pick(&[0, 1, 2, 4]);
    options.max_conns_per_address = bytes.pick(&[0, 1, 2]);
    options.max_dials_per_address = bytes.pick(&[0, 1]);
    options.max_waiters = bytes.pick(&[0, 1]);
    options.wait_timeout_ms = bytes.pick(&[0, 0, 1]);
    options.idle_timeout_ms = bytes.pick(&[-1, 0, 1, 90_000]);
    options.max_lifetime_ms = bytes.pick(&[-1, 0, 1, 1000]);
    options.lifetime_jitter_percent = bytes.pick(&[0, 10, 100, 101]);
    options.max_uses = bytes.pick(&[0, 1, 3]);
    options.min_idle_per_address = bytes.pick(&[0, 0, 0, 1]);
    options.liveness = bytes.pick(&[0, 1, 2, 3]);
    options.reuse_order = bytes.pick(&[0, 1]);
    options.verify_release = bytes.pick(&[0, 0, 1]);
    options.nonblocking = bytes.pick(&[0, 1]);
    options.fail_fast_ms = bytes.pick(&[0, 10]);
    options.leak_threshold_ms = bytes.pick(&[0, 1]);
    options.on_idle_ms = bytes.pick(&[0, 1]);
    options
}

impl World {
    pub(super) fn new(bytes: &mut Bytes<'_>) -> World {
        let mut world = World {
            pool: null_mut(),
            max_conns: 0,
            servers: [Server::new(0), Server::new(1)],
            conns: Vec::new(),
            stale: Vec::new(),
            token: null_mut(),
            queue: null_mut(),
            works_alone: true,
        };
        // SAFETY: out parameters, here and below.
        unsafe {
            checked(vcp_cancel_new(&mut world.token));
            checked(vcp_queue_new(&mut world.queue));
        }
        world.open_pool(bytes);
        world
    }

    /// With the options that the fuzzer says, or, if they are bad, without.
    pub(super) fn open_pool(&mut self, bytes: &mut Bytes<'_>) {
        let mut options = pool_options(bytes);
        callbacks::choose(&mut options, bytes);
        self.max_conns = i64::from(options.max_conns);
        self.works_alone &= options.min_idle_per_address == 0 && options.on_idle.is_none();
        self.works_alone &= options.on_release_in_background == 0 && options.on_open.is_none();
        unsafe {
            if checked(vcp_pool_new(&options, &mut self.pool)) != 0 {
                self.max_conns = 0;
                assert_eq!(checked(vcp_pool_new(null(), &mut self.pool)), 0);
            }
        }
    }

    /// An address that is served, or one that is not.
    pub(super) fn address(&mut self, bytes: &mut Bytes<'_>) -> std::ffi::CString {
        match bytes.byte() % 8 {
            0..=3 => self.servers[0].text.clone(),
            4..=6 => self.servers[1].text.clone(),
            _ => text_of(2),
        }
    }

    /// A dial has returned: nobody else may have that descriptor.
    pub(super) fn borrowed(&mut self, fd: i64, conn: *mut vcp_conn) {
        let fd = i32::try_from(fd).expect("a descriptor");
        let has_other = self.conns.iter().any(|one| one.fd == fd && fd > 0);
        assert!(!has_other, "fd {fd} has two owners");
        assert!(
            !self.conns.iter().any(|one| one.conn == conn),
            "a handle twice"
        );
        self.conns.push(Borrowed { conn, fd });
        for server in &mut self.servers {
            server.accept();
        }
        if self.conns.len() > MOST_CONNS {
            self.give_back(0);
        }
    }

    pub(super) fn give_back(&mut self, at: usize) {
        let one = self.conns.remove(at);
        assert_eq!(checked(vcp_conn_close(one.conn)), 0);
        self.bury(one.conn);
    }

    /// That handle is dead.
    pub(super) fn bury(&mut self, conn: *mut vcp_conn) {
        self.stale.push(conn);
        if self.stale.len() > MOST_STALE {
            self.stale.remove(0);
        }
    }

    pub(super) fn statistics(&self) -> Option<vcp_stats> {
        // SAFETY: plain data, of the size that is passed.
        unsafe {
            let mut stats: vcp_stats = zeroed();
            let size = size_of::<vcp_stats>();
            (checked(vcp_pool_stats(self.pool, &mut stats, size)) == 0).then_some(stats)
        }
    }

    /// What holds after every call.
    pub(super) fn check(&self) {
        let count = checked(vcp_pool_conn_count(self.pool));
        let limit = if self.max_conns == 0 {
            i64::MAX
        } else {
            self.max_conns
        };
        assert!(count <= limit, "{count} of {limit}");
    }

    /// Nothing is out, so nothing may count as borrowed.
    fn check_at_rest(&self) {
        if let Some(stats) = self.statistics().filter(|_| self.works_alone) {
            assert_eq!((stats.borrowed, stats.waiting), (0, 0));
        }
    }

    pub(super) fn end(mut self) {
        while !self.conns.is_empty() {
            self.give_back(0);
        }
        self.check_at_rest();
        checked(vcp_pool_close(self.pool));
        checked(vcp_queue_free(self.queue));
        checked(vcp_cancel_free(self.token));
    }
}
