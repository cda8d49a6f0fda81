//! A pool's options: the C struct and its defaults.

use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;

use crate::ffi::arguments::sized_struct::{self, SizedStruct};
use crate::ffi::basics::enums::{VCP_LIVENESS_STRICT, VCP_REUSE_LIFO};
use crate::ffi::callback_types::{
    vcp_conn_hook_fn, vcp_control_fn, vcp_dial_fn, vcp_event_fn, vcp_free_fn, vcp_resolve_fn,
    vcp_rewrite_fn, vcp_session_fn,
};
use crate::ffi::guard::guard;

/// What a pool is made with. Fill it with vcp_pool_options_init; the default of each field stands
/// in brackets.
///
/// In every mode idle connections are watched in the background: one whose peer closes, or
/// (VCP_LIVENESS_STRICT) sends bytes, leaves the pool within 1 s, without any borrow. Lifetime,
/// uses and idle age are checked at borrow, at give-back and in the background (within 1 s of their
/// time); a borrowed connection is never cut. Datagram and raw sockets have no hang-up: under
/// STRICT a pending datagram or error closes them, under WATCH nothing is noticed until I/O fails.
/// A connection that cannot be watched (epoll(7) has no room) is peeked at in every mode.
///
/// Waiting: a dial that has to wait draws a ticket, and what becomes free goes to the oldest ticket
/// that it can serve. A connection given back goes to a waiter of its own destination as it is, and
/// is closed when it is its slot that an older waiter of another destination (or one with
/// VCP_DIAL_FRESH) needs. A newcomer takes nothing that an older waiter could be served with. A
/// wait that runs out is VCP_ERR_TIMEOUT with VCP_PHASE_WAITING; a waiter that timed out or was
/// canceled swallows nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_pool_options {
    /// sizeof(vcp_pool_options), set by _init.
    pub size: usize,

    /// [8] Idle connections kept per destination; 0: keep nothing, every give-back closes. Go:
    /// IdeConn.
    pub max_idle_per_address: u32,
    /// [0] Idle connections kept in all; 0: no limit.
    pub max_idle: u32,
    /// [0] Connections in all: idle, borrowed and being dialed; 0: no limit. At the limit the
    /// longest idle connection of another destination (for a FRESH dial also of its own) is closed
    /// to make room first. Go: MaxConn.
    pub max_conns: u32,
    /// [0] Connections per destination: idle, borrowed and being dialed; 0: no limit.
    pub max_conns_per_address: u32,
    /// [0] Dials in flight at once per destination; 0: no limit. Those beyond wait their turn
    /// within the dial's timeout, whatever wait_timeout_ms says; they hold no slot, count as
    /// waiting, and not against max_waiters. One whose turn comes at max_conns waits on for a slot.
    pub max_dials_per_address: u32,
    /// [0] Dials that wait at a limit; one more is VCP_ERR_POOL_EXHAUSTED. 0: no limit.
    pub max_waiters: u32,
    /// [0] At a limit: 0 fail at once (VCP_ERR_POOL_EXHAUSTED; as the Go library), < 0 wait as long
    /// as the dial may take, > 0 wait so long.
    pub wait_timeout_ms: i64,

    /// [90000] How long a connection may be idle; 0: for ever. Go: IdeTimeout.
    pub idle_timeout_ms: i64,
    /// [0] How long a connection is kept at all; 0: for ever.
    pub max_lifetime_ms: i64,
    /// [10] Each connection's lifetime is drawn once in [1 - j, 1] of max_lifetime_ms, so that
    /// those dialed together do not end together; at most 100.
    pub lifetime_jitter_percent: u32,
    /// [0] Borrows of one connection, the first included; 0: no limit.
    pub max_uses: u32,
    /// [0] So many idle connections are kept up in the background for each destination borrowed
    /// within the last idle_timeout_ms (90 s if that is 0); never beyond a limit, at the cost of
    /// others, or while anyone waits. After a failure 1 s passes, then 2 s, up to 60 s.
    pub min_idle_per_address: u32,

    /// [VCP_LIVENESS_STRICT] A vcp_liveness.
    pub liveness: i32,
    /// [VCP_REUSE_LIFO] A vcp_reuse_order.
    pub reuse_order: i32,
    /// [0] 1: at give-back check that the descriptor still is the pool's own socket (fstat(2):
    /// device and inode), and put its blocking mode back.
    pub verify_release: i32,

    /// [30000] One budget for waiting, resolving and all addresses; 0: none.
    pub dial_timeout_ms: i64,
    /// [250] When a name has several addresses: the next one is tried so long after the last began
    /// (RFC 8305 "Connection Attempt Delay"), or at once when one fails; < 0: one after another,
    /// each with its share of what remains, at least 2 s, as Go.
    pub fallback_delay_ms: i64,
    /// [15000] TCP keep-alive: idle time before the first probe (TCP_KEEPIDLE, tcp(7)); < 0:
    /// keep-alive off. The kernel counts whole seconds, 1 to 32,767; a part of one is rounded up.
    pub keepalive_idle_ms: i64,
    /// [15000] Between probes (TCP_KEEPINTVL), as above.
    pub keepalive_interval_ms: i64,
    /// [9] Unanswered probes before the connection fails (TCP_KEEPCNT), 1 to 127.
    pub keepalive_count: u32,
    /// [0] TCP_USER_TIMEOUT: how long sent data may stay unacknowledged; 0: the system's.
    pub user_timeout_ms: i64,
    /// [NULL] An ip, an ip:port or a unix path to bind to before connecting; addresses of another
    /// family are skipped, and if none is left the dial fails with VCP_ERR_CONNECT.
    pub local_address: *const c_char,
    /// [1] TCP_NODELAY.
    pub no_delay: i32,
    /// [0] 1: descriptors are handed out in non-blocking mode.
    pub nonblocking: i32,
    /// [0] How long a name's addresses serve; 0: every fresh dial asks (lookups in flight are
    /// shared). That a name does not exist is remembered for 5 s at the most, other failures never.
    pub dns_cache_ms: i64,
    /// [0] After a failed dial, dials to that destination fail at once with the same error for so
    /// long; then one is let through, and the others fail at once until it has ended: its success
    /// ends this, its failure starts it anew. Failed means VCP_ERR_CONNECT, RESOLVE, CALLBACK or
    /// the pool's own dial_timeout_ms; never a caller's own shorter timeout or cancellation.
    pub fail_fast_ms: i64,
    /// [0] A connection borrowed for longer is a leak: counted and reported (VCP_EVENT_LEAKED)
    /// once, and once more if it comes back after all (VCP_EVENT_LEAK_RETURNED); 0: none is.
    pub leak_threshold_ms: i64,
    /// [NULL = ""] The pool's name in reports; at most 1,024 bytes.
    pub name: *const c_char,

    /// Passed to every callback. Must live until the pool is closed, its last connection given
    /// back, and every callback that began has returned.
    pub user: *mut c_void,
    /// [NULL] Go: Host.
    pub rewrite: vcp_rewrite_fn,
    /// [NULL] Go: Resolver.
    pub resolve: vcp_resolve_fn,
    /// [NULL] Go: Dialer.
    pub dial: vcp_dial_fn,
    /// [NULL] Go: net.Dialer.Control.
    pub control: vcp_control_fn,
    /// [NULL] After a fresh connect: a handshake, a login.
    pub on_open: vcp_conn_hook_fn,
    /// [NULL] Before a reused one is handed out.
    pub on_reuse: vcp_conn_hook_fn,
    /// [NULL] Before one is kept or handed on.
    pub on_release: vcp_conn_hook_fn,
    /// [NULL] Told of everything that happens.
    pub on_event: vcp_event_fn,
    /// [NULL] Frees user: once, when the pool is closed, its last connection given back and its
    /// last callback has returned; on the thread that ended last. Not when user is NULL, when
    /// vcp_pool_new fails, or in a forked child for a pool made before the fork.
    pub free_user: vcp_free_fn,

    /// [NULL] Opens sessions of a driver that dials by itself. Not supported yet: anything but NULL
    /// is VCP_ERR_INVALID_ARGUMENT.
    pub open_session: vcp_session_fn,
    /// [0] on_reuse is asked only about connections that have been idle for so long; 0: about all.
    /// Not supported yet: anything but 0 is VCP_ERR_INVALID_ARGUMENT.
    pub on_reuse_after_ms: i64,
    /// [0] 1: on_release runs on a helper thread, and vcp_conn_close does not wait for it. Not
    /// supported yet: anything but 0 is VCP_ERR_INVALID_ARGUMENT.
    pub on_release_in_background: i32,
    /// [NULL] Asked about each idle connection every on_idle_ms. Not supported yet: anything but
    /// NULL is VCP_ERR_INVALID_ARGUMENT.
    pub on_idle: vcp_conn_hook_fn,
    /// [0] How often on_idle is asked; 0: never. Not supported yet: anything but 0 is
    /// VCP_ERR_INVALID_ARGUMENT.
    pub on_idle_ms: i64,
    /// [5000] How long on_release may take: vcp_conn_read and vcp_conn_write inside it have that
    /// deadline, and when it passes the socket is shut down, and the connection is closed
    /// (VCP_CLOSE_HOOK) as soon as the hook returns. VCP_FOREVER: no limit; 0 is
    /// VCP_ERR_INVALID_ARGUMENT.
    pub hook_timeout_ms: i64,
}

// SAFETY: repr(C), size first, and integers, pointers and nullable functions are valid when zeroed.
unsafe impl SizedStruct for vcp_pool_options {
    const NAME: &'static str = "vcp_pool_options";
    const LEAST_SIZE: usize = offset_of!(vcp_pool_options, open_session);
}

pub(crate) const DEFAULTS: vcp_pool_options = vcp_pool_options {
    size: size_of::<vcp_pool_options>(),
    max_idle_per_address: 8,
    max_idle: 0,
    max_conns: 0,
    max_conns_per_address: 0,
    max_dials_per_address: 0,
    max_waiters: 0,
    wait_timeout_ms: 0,
    idle_timeout_ms: 90_000,
    max_lifetime_ms: 0,
    lifetime_jitter_percent: 10,
    max_uses: 0,
    min_idle_per_address: 0,
    liveness: VCP_LIVENESS_STRICT,
    reuse_order: VCP_REUSE_LIFO,
    verify_release: 0,
    dial_timeout_ms: 30_000,
    fallback_delay_ms: 250,
    keepalive_idle_ms: 15_000,
    keepalive_interval_ms: 15_000,
    keepalive_count: 9,
    user_timeout_ms: 0,
    local_address: std::ptr::null(),
    no_delay: 1,
    nonblocking: 0,
    dns_cache_ms: 0,
    fail_fast_ms: 0,
    leak_threshold_ms: 0,
    name: std::ptr::null(),
    user: std::ptr::null_mut(),
    rewrite: None,
    resolve: None,
    dial: None,
    control: None,
    on_open: None,
    on_reuse: None,
    on_release: None,
    on_event: None,
    free_user: None,
    open_session: None,
    on_reuse_after_ms: 0,
    on_release_in_background: 0,
    on_idle: None,
    on_idle_ms: 0,
    hook_timeout_ms: 5_000,
};

/// Fills the options with their defaults. size is sizeof *options.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_options_init(
    options: *mut vcp_pool_options,
    size: usize,
) -> c_int {
    // SAFETY: the program promises `size` writable bytes.
    guard(|| unsafe { sized_struct::write(options, size, DEFAULTS) })
}
