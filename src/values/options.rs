//! What a pool was made with, in the library's own types. `ffi::options` fills it from the C
//! structs and judges the values; the defaults stand there, beside the fields that the header
//! documents.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::endpoint::Endpoint;

/// How a connection is looked at before it is handed out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Liveness {
    Strict = 0,
    AllowData = 1,
    Watch = 2,
}

/// Which idle connection is handed out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReuseOrder {
    Lifo,
    Fifo,
}

/// How many of what; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_idle_per_address: u32,
    pub(crate) max_idle: Option<u32>,
    pub(crate) max_conns: Option<u32>,
    pub(crate) max_conns_per_address: Option<u32>,
    /// Dials in flight at once.
    pub(crate) max_dials_per_address: Option<u32>,
    pub(crate) max_waiters: Option<u32>,
}

/// How long a connection is kept; `None` is for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) lifetime_jitter_percent: u32,
    pub(crate) max_uses: Option<u32>,
    /// Dialed in the background for destinations lately borrowed.
    pub(crate) min_idle_per_address: u32,
    pub(crate) reuse_order: ReuseOrder,
}

impl Keeping {
    /// Nothing of a connection has to be counted or timed at its borrow, so the fast path may lend
    /// it.
    pub(crate) fn allows_fast_path(&self) -> bool {
        self.min_idle_per_address == 0
            && self.max_uses.is_none()
            && self.max_lifetime.is_none()
            && self.reuse_order == ReuseOrder::Lifo
    }
}

/// What vcp_pool_set_limits changes, as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adjustable {
    pub(crate) limits: Limits,
    pub(crate) keeping: Keeping,
    /// At a limit; zero: not at all, `None`: as long as the dial may take.
    pub(crate) wait_timeout: Option<Duration>,
}

/// TCP keep-alive (tcp(7)).
#[derive(Clone, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
}

/// Where a socket is bound before it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalAddress {
    pub(crate) endpoint: Endpoint,
    /// False: the kernel chooses the port, at connect.
    pub(crate) has_port: bool,
}

/// How a socket is made and connected.
#[derive(Clone, Debug)]
pub(crate) struct DialSettings {
    /// `None`: without a limit.
    pub(crate) timeout: Option<Duration>,
    /// `None`: one address after another.
    pub(crate) fallback_delay: Option<Duration>,
    /// `None`: off.
    pub(crate) keepalive: Option<KeepAlive>,
    /// `None`: the system's.
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) local_address: Option<LocalAddress>,
    pub(crate) no_delay: bool,
}

/// Everything that a pool is told when it is made.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) adjustable: Adjustable,
    pub(crate) liveness: Liveness,
    pub(crate) verify_release: bool,
    pub(crate) nonblocking: bool,
    pub(crate) dial: DialSettings,
    /// How long an answer of the resolver serves; zero: not at all.
    pub(crate) dns_cache: Duration,
    /// For so long after a failed dial others fail at once.
    pub(crate) fail_fast: Option<Duration>,
    /// on_reuse is asked about those that have been idle for so long; zero: about all, `None`:
    /// about none.
    pub(crate) on_reuse_after: Option<Duration>,
    /// vcp_conn_close does not wait for on_release.
    pub(crate) on_release_in_background: bool,
    /// How often on_idle is asked about an idle connection; `None`: never.
    pub(crate) on_idle_every: Option<Duration>,
    /// How long a hook that no dial's time bounds may take; `None`: without a limit.
    pub(crate) hook_timeout: Option<Duration>,
    /// Borrowed longer than that is reported.
    pub(crate) leak_threshold: Option<Duration>,
    pub(crate) name: Box<str>,
}
