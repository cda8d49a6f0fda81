//! A pool's options: the C struct, its defaults, and what is refused.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use crate::ffi::arguments::sized_struct::{self, Record};
use crate::ffi::arguments::text;
use crate::ffi::callback_adapter::{self, Keeper};
use crate::ffi::callbacks::{
    vcp_conn_hook_fn, vcp_control_fn, vcp_dial_fn, vcp_event_fn, vcp_free_fn, vcp_resolve_fn,
    vcp_rewrite_fn,
};
use crate::ffi::guard::guard;
use crate::pool::callbacks::Callbacks;
use crate::sys::names;
use crate::values::endpoint::{Endpoint, UnixName};
use crate::values::error::{Error, Result, Status};
use crate::values::options::{
    DialSettings, KeepAlive, Keeping, Limits, Liveness, LocalAddress, Options, ReuseOrder,
};

/// How a connection is looked at before it is handed out again.
pub type vcp_liveness = i32;

/// One recv(MSG_PEEK | MSG_DONTWAIT): end of stream, an error or unread bytes close it, and the next one is tried.
pub const VCP_LIVENESS_STRICT: vcp_liveness = 0;
/// The same, but unread bytes are fine (TLS session tickets).
pub const VCP_LIVENESS_ALLOW_DATA: vcp_liveness = 1;
/// No system call: the background watch alone decides; a hang-up is seen within 20 ms on an idle machine.
pub const VCP_LIVENESS_WATCH: vcp_liveness = 2;

/// Which idle connection is handed out first.
pub type vcp_reuse_order = i32;

/// The one given back last: the others can grow old and go. A thread takes first the one that it gave back last itself under the same
/// spelling of network, address and tag, if that is still there: two threads that go on using their own disturb each other as little as
/// can be.
pub const VCP_REUSE_LIFO: vcp_reuse_order = 0;
/// The one idle for longest: all of them stay in use.
pub const VCP_REUSE_FIFO: vcp_reuse_order = 1;

/// What a pool is made with. Fill it with vcp_pool_options_init; the default of each field stands in brackets.
///
/// In every mode idle connections are watched in the background: one whose peer closes, or (VCP_LIVENESS_STRICT) sends
/// bytes, leaves the pool within 1 s, without any borrow. Lifetime, uses and idle age are checked at borrow, at
/// give-back and in the background (within 1 s of their time); a borrowed connection is never cut. Datagram and raw
/// sockets have no hang-up: under STRICT a pending datagram or error closes them, under WATCH nothing is noticed until I/O
/// fails. A connection that cannot be watched (epoll(7) has no room) is peeked at in every mode.
///
/// Waiting: whoever has to wait draws a ticket, and what becomes free goes to the oldest ticket that it can serve. A connection
/// given back goes to a waiter of its own destination as it is, and is closed when it is its slot that an older waiter of another
/// destination (or one with VCP_DIAL_FRESH) needs. A newcomer takes nothing that an older waiter could be served with. A
/// wait that runs out is VCP_ERR_TIMEOUT with VCP_PHASE_WAITING; a waiter that timed out or was canceled swallows nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_pool_options {
    /// sizeof(vcp_pool_options), set by _init.
    pub size: usize,

    /// [8] Idle connections kept per destination; 0: keep nothing, every give-back closes. Go: IdeConn.
    pub max_idle_per_address: u32,
    /// [0] Idle connections kept in all; 0: no limit.
    pub max_idle: u32,
    /// [0] Connections in all: idle, borrowed and being dialed; 0: no limit. At the limit the longest idle connection
    /// of another destination (for a FRESH dial also of its own) is closed to make room first. Go: MaxConn.
    pub max_conns: u32,
    /// [0] The same per destination; 0: no limit.
    pub max_conns_per_address: u32,
    /// [0] Dials in flight at once per destination; 0: no limit. Those beyond wait their turn within the dial's timeout,
    /// whatever wait_timeout_ms says; they hold no slot, count as waiting, and not against max_waiters. One whose turn comes at max_conns waits on for a slot.
    pub max_dials_per_address: u32,
    /// [0] Dials that wait at a limit; one more is VCP_ERR_POOL_EXHAUSTED. 0: no limit.
    pub max_waiters: u32,
    /// [0] At a limit: 0 fail at once (VCP_ERR_POOL_EXHAUSTED; as the Go library), < 0 wait as long as the dial may take, > 0
    /// wait so long.
    pub wait_timeout_ms: i64,

    /// [90000] How long a connection may be idle; 0: for ever. Go: IdeTimeout.
    pub idle_timeout_ms: i64,
    /// [0] How long a connection is kept at all; 0: for ever.
    pub max_lifetime_ms: i64,
    /// [10] Each connection's lifetime is drawn once in [1 - j, 1] of max_lifetime_ms, so that those dialed together do
    /// not end together; at most 100.
    pub lifetime_jitter_percent: u32,
    /// [0] Borrows of one connection, the first included; 0: no limit.
    pub max_uses: u32,
    /// [0] So many idle connections are kept up in the background for each destination borrowed within the last idle_timeout_ms
    /// (90 s if that is 0); never beyond a limit, at the cost of others, or while anyone waits. After a failure 1 s passes, then 2 s, up to 60 s.
    pub min_idle_per_address: u32,

    /// [VCP_LIVENESS_STRICT] A vcp_liveness.
    pub liveness: i32,
    /// [VCP_REUSE_LIFO] A vcp_reuse_order.
    pub reuse_order: i32,
    /// [0] 1: at give-back check that the descriptor still is the pool's own socket (fstat(2): device and inode), and put
    /// its blocking mode back.
    pub verify_release: i32,

    /// [30000] One budget for waiting, resolving and all addresses; 0: none.
    pub dial_timeout_ms: i64,
    /// [250] When a name has several addresses: the next one is tried so long after the last began (RFC 8305
    /// "Connection Attempt Delay"), or at once when one fails; < 0: one after another, each with its share of what remains, at
    /// least 2 s, as Go.
    pub fallback_delay_ms: i64,
    /// [15000] TCP keep-alive: idle time before the first probe (TCP_KEEPIDLE, tcp(7)); < 0: keep-alive off. The kernel
    /// counts whole seconds, 1 to 32,767; a part of one is rounded up.
    pub keepalive_idle_ms: i64,
    /// [15000] Between probes (TCP_KEEPINTVL), as above.
    pub keepalive_interval_ms: i64,
    /// [9] Unanswered probes before the connection fails (TCP_KEEPCNT), 1 to 127.
    pub keepalive_count: u32,
    /// [0] TCP_USER_TIMEOUT: how long sent data may stay unacknowledged; 0: the system's.
    pub user_timeout_ms: i64,
    /// [NULL] An ip, an ip:port or a unix path to bind to before connecting; addresses of another family are skipped, and if
    /// none is left the dial fails with VCP_ERR_CONNECT.
    pub local_address: *const c_char,
    /// [1] TCP_NODELAY.
    pub no_delay: i32,
    /// [0] 1: descriptors are handed out in non-blocking mode.
    pub nonblocking: i32,
    /// [0] How long a name's addresses serve; 0: every fresh dial asks (lookups in flight are shared). That a name does not
    /// exist is remembered for 5 s at the most, other failures never.
    pub dns_cache_ms: i64,
    /// [0] After a failed dial, dials to that destination fail at once with the same error for so long; then one is let
    /// through, and the others fail at once until it has ended: its success ends this, its failure starts it anew. Failed
    /// means VCP_ERR_CONNECT, RESOLVE, CALLBACK or the pool's own dial_timeout_ms; never a caller's own shorter timeout or
    /// cancellation.
    pub fail_fast_ms: i64,
    /// [0] A connection borrowed for longer is a leak: counted and reported (VCP_EVENT_LEAKED) once, and once more if it comes back
    /// after all (VCP_EVENT_LEAK_RETURNED); 0: none is.
    pub leak_threshold_ms: i64,
    /// [NULL = ""] The pool's name in reports; at most 1,024 bytes.
    pub name: *const c_char,

    /// Passed to every callback. Must live until the pool is closed, its last connection given back, and every callback
    /// that began has returned.
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
    /// [NULL] Frees user: once, when the pool is closed, its last connection given back and its last callback has returned; on
    /// the thread that ended last. Not when user is NULL, when vcp_pool_new fails, or in a forked child for a pool made before the fork.
    pub free_user: vcp_free_fn,
}

// SAFETY: repr(C), size first, and integers, pointers and nullable functions are valid when zeroed.
unsafe impl Record for vcp_pool_options {
    const NAME: &'static str = "vcp_pool_options";
    const LEAST_SIZE: usize = size_of::<vcp_pool_options>();
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

pub(crate) fn liveness(number: i32) -> Result<Liveness> {
    match number {
        VCP_LIVENESS_STRICT => Ok(Liveness::Strict),
        VCP_LIVENESS_ALLOW_DATA => Ok(Liveness::AllowData),
        VCP_LIVENESS_WATCH => Ok(Liveness::Watch),
        _ => Err(Error::invalid_argument(format!(
            "liveness: {number} is no vcp_liveness"
        ))),
    }
}

fn reuse_order(number: i32) -> Result<ReuseOrder> {
    match number {
        VCP_REUSE_LIFO => Ok(ReuseOrder::Lifo),
        VCP_REUSE_FIFO => Ok(ReuseOrder::Fifo),
        _ => Err(Error::invalid_argument(format!(
            "reuse_order: {number} is no vcp_reuse_order"
        ))),
    }
}

fn boolean(number: i32, field: &str) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::invalid_argument(format!(
            "{field}: {number} is neither 0 nor 1"
        ))),
    }
}

fn limit(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

/// 0 is none; a negative number is an error.
fn duration(ms: i64, field: &str) -> Result<Option<Duration>> {
    match u64::try_from(ms) {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err(Error::invalid_argument(format!(
            "{field}: {ms} is negative"
        ))),
    }
}

/// What the kernel takes in whole seconds, 1 to 32,767 (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL in net/tcp.h).
fn keepalive_time(ms: i64, field: &str) -> Result<Duration> {
    const LONGEST_MS: i64 = 32_767_000;
    if !(1..=LONGEST_MS).contains(&ms) {
        return Err(Error::invalid_argument(format!(
            "{field}: {ms} is not in 1 to {LONGEST_MS}"
        )));
    }
    Ok(Duration::from_millis(ms as u64))
}

fn keepalive(options: &vcp_pool_options) -> Result<Option<KeepAlive>> {
    if options.keepalive_idle_ms < 0 {
        return Ok(None);
    }
    // MAX_TCP_KEEPCNT in net/tcp.h.
    const MOST_PROBES: u32 = 127;
    if !(1..=MOST_PROBES).contains(&options.keepalive_count) {
        return Err(Error::invalid_argument(format!(
            "keepalive_count: {} is not in 1 to {MOST_PROBES}",
            options.keepalive_count
        )));
    }
    Ok(Some(KeepAlive {
        idle: keepalive_time(options.keepalive_idle_ms, "keepalive_idle_ms")?,
        interval: keepalive_time(options.keepalive_interval_ms, "keepalive_interval_ms")?,
        count: options.keepalive_count,
    }))
}

/// A path if it has a slash or begins with '@'; else an ip with or without a port.
fn local_address(address: &str) -> Result<LocalAddress> {
    let bad = || {
        Error::invalid_argument(format!(
            "local_address: \"{address}\" is no ip, ip:port or unix path"
        ))
    };
    if address.starts_with('@') || address.contains('/') {
        let name = UnixName::parse(address).ok_or_else(bad)?;
        return Ok(LocalAddress {
            endpoint: Endpoint::Unix(name),
            has_port: false,
        });
    }
    if let Ok(socket) = address.parse() {
        return Ok(LocalAddress {
            endpoint: Endpoint::Inet(socket),
            has_port: true,
        });
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .unwrap_or(address);
    let (ip, zone) = bare.split_once('%').unwrap_or((bare, ""));
    let mut socket = std::net::SocketAddr::new(ip.parse().map_err(|_| bad())?, 0);
    if let (std::net::SocketAddr::V6(v6), false) = (&mut socket, zone.is_empty()) {
        v6.set_scope_id(names::interface_index(zone).ok_or_else(bad)?);
    }
    Ok(LocalAddress {
        endpoint: Endpoint::Inet(socket),
        has_port: false,
    })
}

/// Judges every field.
///
/// # Safety
/// `options` is NULL or points to a struct whose size field is right, with valid texts.
pub(crate) unsafe fn read(
    options: *const vcp_pool_options,
) -> Result<(Options, Callbacks, Keeper)> {
    let raw = if options.is_null() {
        DEFAULTS
    } else {
        // SAFETY: the caller's promise.
        unsafe { sized_struct::read(options, DEFAULTS) }?
    };
    // SAFETY: the caller's promise.
    let local =
        unsafe { text::optional(raw.local_address, "local_address", Status::InvalidArgument) }?;
    // SAFETY: the caller's promise.
    let name = unsafe { text::optional(raw.name, "name", Status::InvalidArgument) }?;
    if raw.lifetime_jitter_percent > 100 {
        return Err(Error::invalid_argument(format!(
            "lifetime_jitter_percent: {} is above 100",
            raw.lifetime_jitter_percent
        )));
    }
    let dial_timeout = duration(raw.dial_timeout_ms, "dial_timeout_ms")?;
    let options = Options {
        limits: Limits {
            max_idle_per_address: raw.max_idle_per_address,
            max_idle: limit(raw.max_idle),
            max_conns: limit(raw.max_conns),
            max_conns_per_address: limit(raw.max_conns_per_address),
            max_dials_per_address: limit(raw.max_dials_per_address),
            max_waiters: limit(raw.max_waiters),
        },
        keeping: Keeping {
            idle_timeout: duration(raw.idle_timeout_ms, "idle_timeout_ms")?,
            max_lifetime: duration(raw.max_lifetime_ms, "max_lifetime_ms")?,
            lifetime_jitter_percent: raw.lifetime_jitter_percent,
            max_uses: limit(raw.max_uses),
            min_idle_per_address: raw.min_idle_per_address,
            reuse_order: reuse_order(raw.reuse_order)?,
        },
        wait_timeout_ms: raw.wait_timeout_ms,
        liveness: liveness(raw.liveness)?,
        verify_release: boolean(raw.verify_release, "verify_release")?,
        nonblocking: boolean(raw.nonblocking, "nonblocking")?,
        dial: DialSettings {
            timeout_ms: if dial_timeout.is_some() {
                raw.dial_timeout_ms
            } else {
                -1
            },
            fallback_delay: u64::try_from(raw.fallback_delay_ms)
                .ok()
                .map(Duration::from_millis),
            keepalive: keepalive(&raw)?,
            user_timeout: duration(raw.user_timeout_ms, "user_timeout_ms")?,
            local_address: local.map(local_address).transpose()?,
            no_delay: boolean(raw.no_delay, "no_delay")?,
        },
        dns_cache: duration(raw.dns_cache_ms, "dns_cache_ms")?.unwrap_or_default(),
        fail_fast: duration(raw.fail_fast_ms, "fail_fast_ms")?,
        leak_threshold: duration(raw.leak_threshold_ms, "leak_threshold_ms")?,
        name: name.unwrap_or_default().into(),
    };
    let (callbacks, keeper) = callback_adapter::of(&raw);
    Ok((options, callbacks, keeper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(change: impl FnOnce(&mut vcp_pool_options)) -> Result<Options> {
        let mut options = DEFAULTS;
        change(&mut options);
        // SAFETY: a complete struct, with static texts.
        unsafe { read(&options) }.map(|(options, _, _)| options)
    }

    #[test]
    fn the_defaults_are_accepted_and_mean_what_the_header_says() {
        let options = reading(|_| {}).expect("defaults");
        assert_eq!(options.limits.max_idle_per_address, 8);
        assert_eq!(options.limits.max_conns, None);
        assert_eq!(options.keeping.idle_timeout, Some(Duration::from_secs(90)));
        assert_eq!(options.keeping.max_lifetime, None);
        assert_eq!(options.dial.timeout_ms, 30_000);
        assert_eq!(
            options.dial.fallback_delay,
            Some(Duration::from_millis(250))
        );
        assert!(options.dial.no_delay && options.dial.keepalive.is_some());
        assert!(!options.nonblocking && !options.verify_release);
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        type Change = fn(&mut vcp_pool_options);
        let cases: [(&str, Change); 15] = [
            ("lifetime_jitter_percent", |o| {
                o.lifetime_jitter_percent = 101
            }),
            ("liveness", |o| o.liveness = 3),
            ("liveness", |o| o.liveness = -1),
            ("reuse_order", |o| o.reuse_order = 2),
            ("verify_release", |o| o.verify_release = 2),
            ("nonblocking", |o| o.nonblocking = -1),
            ("no_delay", |o| o.no_delay = 7),
            ("idle_timeout_ms", |o| o.idle_timeout_ms = -1),
            ("max_lifetime_ms", |o| o.max_lifetime_ms = i64::MIN),
            ("dial_timeout_ms", |o| o.dial_timeout_ms = -1),
            ("user_timeout_ms", |o| o.user_timeout_ms = -1),
            ("keepalive_count", |o| o.keepalive_count = 128),
            ("keepalive_idle_ms", |o| o.keepalive_idle_ms = 32_767_001),
            ("keepalive_interval_ms", |o| o.keepalive_interval_ms = 0),
            ("local_address", |o| o.local_address = c"localhost".as_ptr()),
        ];
        for (field, change) in cases {
            let error = reading(change).expect_err(field);
            assert_eq!(error.status, Status::InvalidArgument);
            assert!(error.message.contains(field), "{}", error.message);
        }
    }

    #[test]
    fn local_addresses_have_three_forms() {
        for (text, has_port) in [
            ("10.0.0.1", false),
            ("::1", false),
            ("[::1]", false),
            ("10.0.0.1:80", true),
            ("[::1]:80", true),
        ] {
            let local = local_address(text).expect(text);
            assert_eq!(local.has_port, has_port, "{text}");
            assert!(matches!(local.endpoint, Endpoint::Inet(_)));
        }
        for text in ["/tmp/a", "./a", "@a"] {
            assert!(matches!(
                local_address(text).expect(text).endpoint,
                Endpoint::Unix(_)
            ));
        }
        assert!(local_address("fe80::1%lo").is_ok());
        for text in ["", "name", "1.2.3.4:http", "fe80::1%nowhere"] {
            assert!(local_address(text).is_err(), "{text}");
        }
    }
}
