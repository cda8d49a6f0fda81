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

/// ---- OPTIONS OF A POOL ----
///
/// Fill a vcp_pool_options with vcp_pool_options_init, change what you need, and pass it to
/// vcp_pool_new. The default of each field stands in brackets. The eight fields that most programs
/// need are marked START HERE.
///
/// Fields are in groups: limits; how long a connection is kept; reuse; dialing; failures and leaks;
/// callbacks; sessions and upkeep.
///
/// WHO IS SERVED FIRST. A dial that has to wait draws a ticket. What becomes free goes to the
/// oldest ticket that it can serve; a dial that comes later takes nothing that an older waiter
/// could be served with. A connection that is given back goes to the oldest waiter of its own
/// destination as it is. If an older waiter of another destination, or one with VCP_DIAL_FRESH,
/// needs only its slot, the connection that was given back is closed, and the waiter gets its slot.
/// A waiter that is held by a limit of its own destination is passed over and keeps its ticket. A
/// waiter whose time runs out, or whose token fires, takes nothing with it.
///
/// WHEN A CONNECTION IS CHECKED. Lifetime, uses and idle time are checked when a connection is
/// borrowed, when it is given back, and in the background within 1 s of their time. A borrowed
/// connection is never cut by them.
///
/// ----
///
/// What a pool is made with.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_pool_options {
    /// sizeof(vcp_pool_options). vcp_pool_options_init sets it.
    pub size: usize,

    /// ---- limits ----
    ///
    /// ----
    ///
    /// START HERE. [8] How many idle connections are kept for one destination. 0: none, so that
    /// every connection that is given back is closed. Go: IdeConn.
    pub max_idle_per_address: u32,
    /// [0] How many idle connections are kept in all. 0: no limit.
    pub max_idle: u32,
    /// START HERE. [0] How many connections there may be in all: idle, borrowed and being dialed.
    /// 0: no limit. A dial that meets the limit first closes the longest idle connection of another
    /// destination (a VCP_DIAL_FRESH dial also of its own), and waits or fails only if there is
    /// none. Go: MaxConn.
    pub max_conns: u32,
    /// [0] How many connections there may be to one destination: idle, borrowed and being dialed.
    /// 0: no limit.
    pub max_conns_per_address: u32,
    /// [0] How many dials to one destination may be connecting at once. 0: no limit. Further dials
    /// wait for their turn, for as long as they may take: wait_timeout_ms does not matter. While a
    /// dial waits for its turn it is no connection yet for max_conns. It counts as waiting in the
    /// statistics, but not for max_waiters.
    pub max_dials_per_address: u32,
    /// [0] How many dials may wait at a limit. One more fails with VCP_ERR_POOL_EXHAUSTED. 0: no
    /// limit.
    pub max_waiters: u32,
    /// START HERE. [0] How long a dial waits at a limit. 0: it fails at once with
    /// VCP_ERR_POOL_EXHAUSTED. VCP_FOREVER: it waits for as long as the dial may take. A wait that
    /// runs out is VCP_ERR_TIMEOUT with VCP_PHASE_WAITING.
    pub wait_timeout_ms: i64,

    /// ---- how long a connection is kept ----
    ///
    /// ----
    ///
    /// START HERE. [90000] How long a connection may be idle before it is closed. 0 and
    /// VCP_FOREVER: no limit. Go: IdeTimeout.
    pub idle_timeout_ms: i64,
    /// START HERE. [0] How old a connection may become before it is closed. 0 and VCP_FOREVER: no
    /// limit.
    pub max_lifetime_ms: i64,
    /// [10] How much the lifetimes of connections differ, from 0 to 100: each one's lifetime is
    /// drawn once, between max_lifetime_ms and that many percent below it. So connections that were
    /// dialed together do not end together.
    pub lifetime_jitter_percent: u32,
    /// [0] How often a connection may be borrowed, the first time included. 0: no limit.
    pub max_uses: u32,
    /// [0] How many idle connections the library keeps ready, by dials in the background. It does
    /// so for each destination that was borrowed within the last idle_timeout_ms (90 s if that is
    /// 0), but never above a limit, never by closing others, and not while a dial waits. After a
    /// failed dial it pauses for 1 s, then 2 s, and so on up to 60 s.
    pub min_idle_per_address: u32,

    /// ---- reuse ----
    ///
    /// ----
    ///
    /// [VCP_LIVENESS_STRICT] How an idle connection is checked before it is handed out: a
    /// vcp_liveness.
    pub liveness: i32,
    /// [VCP_REUSE_LIFO] Which idle connection is handed out first: a vcp_reuse_order.
    pub reuse_order: i32,
    /// [0] 1: at each give-back, check by fstat(2) that the descriptor is the pool's own socket
    /// still, and put its blocking mode back. 0: this is checked only before the pool closes a
    /// descriptor.
    pub verify_release: i32,

    /// ---- dialing, as Go's net.Dialer ----
    ///
    /// ----
    ///
    /// START HERE. [30000] How long a dial may take in all: waiting, resolving, all addresses,
    /// on_open and on_reuse. 0 and VCP_FOREVER: no limit. vcp_dial_options.timeout_ms overrides it.
    pub dial_timeout_ms: i64,
    /// [250] For a destination with several addresses: how long after one attempt began the next
    /// one begins, if none has connected or failed (RFC 8305, section 5, Connection Attempt Delay).
    /// VCP_FOREVER: one address after another, each with its share of the time that is left, at
    /// least 2 s, as Go.
    pub fallback_delay_ms: i64,
    /// [15000] How long a TCP connection is silent before the kernel sends the first keep-alive
    /// probe (TCP_KEEPIDLE, tcp(7)). VCP_FOREVER: no probes. The kernel counts whole seconds, 1 to
    /// 32,767; a part of one is rounded up.
    pub keepalive_idle_ms: i64,
    /// [15000] The time between two keep-alive probes (TCP_KEEPINTVL, tcp(7)), in whole seconds, 1
    /// to 32,767; a part of one is rounded up.
    pub keepalive_interval_ms: i64,
    /// [9] How many keep-alive probes go unanswered before the connection fails (TCP_KEEPCNT,
    /// tcp(7)), 1 to 127.
    pub keepalive_count: u32,
    /// [0] How long sent bytes may stay unacknowledged before the connection fails
    /// (TCP_USER_TIMEOUT, tcp(7)). 0 and VCP_FOREVER: the system's own limit.
    pub user_timeout_ms: i64,
    /// [NULL] The address that a new socket is bound to before it connects: an ip, an ip:port or a
    /// unix path. Remote addresses of another family are skipped; if none is left the dial fails
    /// with VCP_ERR_CONNECT.
    pub local_address: *const c_char,
    /// [1] 1: small writes are sent at once (TCP_NODELAY, tcp(7)). 0: they are gathered.
    pub no_delay: i32,
    /// [0] 1: descriptors are handed out in non-blocking mode.
    pub nonblocking: i32,
    /// [0] How long the addresses of a name are used for further dials. 0: each new connection
    /// asks, and dials of one name at the same time ask once. That a name does not exist is
    /// remembered for 5 s at the most; other failures are not remembered.
    pub dns_cache_ms: i64,
    /// ---- failures and leaks ----
    ///
    /// ----
    ///
    /// [0] For how long dials to a destination fail at once, with the same error, after one has
    /// failed. Then one dial is let through, and the others go on failing until it ends. Its
    /// success ends this; its failure begins it anew. 0: never. What counts as failed:
    /// VCP_ERR_CONNECT, VCP_ERR_RESOLVE, VCP_ERR_CALLBACK, and a dial that the pool's own
    /// dial_timeout_ms ended. What does not: a shorter timeout of the caller's, and a fired token.
    pub fail_fast_ms: i64,
    /// [0] How long a connection may be borrowed before it counts as leaked. It is then told once
    /// (VCP_EVENT_LEAKED), and once more if it is given back after all (VCP_EVENT_LEAK_RETURNED). 0
    /// and VCP_FOREVER: never.
    pub leak_threshold_ms: i64,
    /// START HERE. [NULL, which is ""] The pool's name in descriptions, metrics and leak reports;
    /// at most 1,024 bytes.
    pub name: *const c_char,

    /// ---- callbacks ----
    ///
    /// ----
    ///
    /// [NULL] The pointer that every callback is given. It must live until the pool is closed, its
    /// last connection has been given back, and every callback that began has returned; free_user
    /// runs then.
    pub user: *mut c_void,
    /// [NULL] Says where to dial instead. Go: Host.
    pub rewrite: vcp_rewrite_fn,
    /// [NULL] Replaces getaddrinfo(3). Go: Resolver.
    pub resolve: vcp_resolve_fn,
    /// [NULL] Replaces resolving and connecting. Go: Dialer.
    pub dial: vcp_dial_fn,
    /// [NULL] Sets options of a new socket. Go: net.Dialer.Control.
    pub control: vcp_control_fn,
    /// START HERE. [NULL] Runs after a new connection is made: a TLS handshake, a login. It may
    /// refuse.
    pub on_open: vcp_conn_hook_fn,
    /// [NULL] Runs before an idle connection is handed out. It may refuse.
    pub on_reuse: vcp_conn_hook_fn,
    /// [NULL] Runs before a connection that was given back is kept. It may refuse.
    pub on_release: vcp_conn_hook_fn,
    /// [NULL] Hears of everything that happens in the pool.
    pub on_event: vcp_event_fn,
    /// [NULL] Frees user. It runs once: when the pool is closed, its last connection has been given
    /// back and its last callback has returned, on the thread that was the last of them. It does
    /// not run if user is NULL, if vcp_pool_new fails, or in a forked child for a pool that was
    /// made before the fork.
    pub free_user: vcp_free_fn,

    /// ---- sessions and upkeep ----
    ///
    /// ----
    ///
    /// [NULL] Opens sessions of a driver that dials by itself. Not together with dial, resolve,
    /// nonblocking or verify_release; keep-alive, no_delay, local_address and control do not apply.
    pub open_session: vcp_session_fn,
    /// [0] on_reuse looks only at connections that have been idle for at least this long. 0: at all
    /// of them; VCP_FOREVER: at none.
    pub on_reuse_after_ms: i64,
    /// [0] 1: on_release runs on a helper thread, and vcp_conn_close does not wait for it.
    pub on_release_in_background: i32,
    /// [NULL] Looks at each idle connection every on_idle_ms; both must be set. It may refuse.
    /// vcp_conn_hook_fn has the rules.
    pub on_idle: vcp_conn_hook_fn,
    /// [0] How often on_idle looks at an idle connection. 0 and VCP_FOREVER: never. A ping does not
    /// renew idle_timeout_ms: raise that too.
    pub on_idle_ms: i64,
    /// [5000] How long on_release and on_idle may take. VCP_FOREVER: no limit. 0 is
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

/// ---- THE POOL ----
///
/// A pool is made by vcp_pool_new and ended by vcp_pool_close. All threads share it.
///
/// ----
///
/// START HERE. Fills the options with their defaults. Pass sizeof *options as size.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if options is NULL, or size is shorter than version 0.1's or
/// longer than 64 KiB; nothing is written then.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_options_init(
    options: *mut vcp_pool_options,
    size: usize,
) -> c_int {
    // SAFETY: the program promises `size` writable bytes.
    guard(|| unsafe { sized_struct::write(options, size, DEFAULTS) })
}
