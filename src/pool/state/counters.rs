//! What a pool counts, and why connections are closed.
#![forbid(unsafe_code)]

/// Why the pool closes a connection: finer than the reasons that events tell, because `vcp_stats` counts finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCause {
    /// Found closed or failed when it was about to be handed out.
    StaleAtBorrow,
    /// Found with unread bytes when it was about to be handed out.
    DirtyAtBorrow,
    /// The watch saw the peer close it while it was idle.
    PeerClosedWhileIdle,
    /// The watch saw bytes arrive while it was idle.
    DirtyWhileIdle,
    IdleTimeout,
    Lifetime,
    MaxUses,
    IdleFull,
    /// evict, close_idle, or room made for another destination.
    Evicted,
    /// The borrower asked for it.
    Discarded,
    /// The borrower's read or write failed, or the stream ended.
    Failed,
    /// Found closed by the peer when it was given back.
    PeerClosedAtGiveBack,
    /// on_reuse or on_release refused it.
    Hook,
    /// At give-back the descriptor was another file's: it is forgotten, not closed.
    ForeignFd,
    /// Given back to a pool that was closed or drained.
    PoolClosed,
    /// Idle when the pool was closed or drained.
    PoolClosedWhileIdle,
}

/// The counters of `vcp_stats`, in its order; the gauges are derived.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct Counters {
    pub(crate) dials: u64,
    pub(crate) dial_failures: u64,
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) reuses: u64,
    pub(crate) releases: u64,
    pub(crate) waits: u64,
    pub(crate) wait_timeouts: u64,
    pub(crate) wait_us: u64,
    pub(crate) stale_at_borrow: u64,
    pub(crate) dirty_at_borrow: u64,
    pub(crate) closed_while_idle: u64,
    pub(crate) closed_idle_timeout: u64,
    pub(crate) closed_lifetime: u64,
    pub(crate) closed_max_uses: u64,
    pub(crate) closed_idle_full: u64,
    pub(crate) closed_evicted: u64,
    pub(crate) closed_discarded: u64,
    pub(crate) closed_hook: u64,
    pub(crate) closed_foreign_fd: u64,
    pub(crate) detached: u64,
    pub(crate) leaks: u64,
}

impl Counters {
    /// Counts one closed connection.
    pub(crate) fn closed(&mut self, cause: CloseCause) {
        *match cause {
            CloseCause::StaleAtBorrow => &mut self.stale_at_borrow,
            CloseCause::DirtyAtBorrow => &mut self.dirty_at_borrow,
            CloseCause::PeerClosedWhileIdle | CloseCause::DirtyWhileIdle => {
                &mut self.closed_while_idle
            }
            CloseCause::IdleTimeout => &mut self.closed_idle_timeout,
            CloseCause::Lifetime => &mut self.closed_lifetime,
            CloseCause::MaxUses => &mut self.closed_max_uses,
            CloseCause::IdleFull => &mut self.closed_idle_full,
            CloseCause::Evicted | CloseCause::PoolClosedWhileIdle => &mut self.closed_evicted,
            CloseCause::Discarded
            | CloseCause::Failed
            | CloseCause::PeerClosedAtGiveBack
            | CloseCause::PoolClosed => &mut self.closed_discarded,
            CloseCause::Hook => &mut self.closed_hook,
            CloseCause::ForeignFd => &mut self.closed_foreign_fd,
        } += 1;
    }
}

/// Everything that `vcp_pool_stats` tells.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct Stats {
    pub(crate) counters: Counters,
    pub(crate) idle: u64,
    pub(crate) borrowed: u64,
    pub(crate) dialing: u64,
    pub(crate) waiting: u64,
}

/// How the names of the counters of closed connections begin.
pub(crate) const CLOSED: &str = "closed_";

/// One counter, by its name in `vcp_stats`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: u64,
}

impl Stats {
    /// Every counter, in the order of `vcp_stats`.
    pub(crate) fn named(&self) -> Vec<Counter> {
        let of = &self.counters;
        let all = [
            ("dials", "Fresh dials that ended.", of.dials),
            (
                "dial_failures",
                "Fresh dials that failed.",
                of.dial_failures,
            ),
            ("puts", "Connections taken by put and add.", of.puts),
            ("gets", "Connections given away by get.", of.gets),
            ("reuses", "Idle connections handed out.", of.reuses),
            (
                "releases",
                "Connections given back and kept or handed on.",
                of.releases,
            ),
            ("waits", "Waits at a limit.", of.waits),
            ("wait_timeouts", "Waits that ran out.", of.wait_timeouts),
            ("wait_us", "Time spent waiting.", of.wait_us),
            (
                "stale_at_borrow",
                "Found closed when about to be handed out.",
                of.stale_at_borrow,
            ),
            (
                "dirty_at_borrow",
                "Found with unread bytes when about to be handed out.",
                of.dirty_at_borrow,
            ),
            (
                "closed_while_idle",
                "Closed because the peer closed or sent bytes.",
                of.closed_while_idle,
            ),
            (
                "closed_idle_timeout",
                "Closed after the idle timeout.",
                of.closed_idle_timeout,
            ),
            (
                "closed_lifetime",
                "Closed at the end of their lifetime.",
                of.closed_lifetime,
            ),
            (
                "closed_max_uses",
                "Closed after the last use.",
                of.closed_max_uses,
            ),
            (
                "closed_idle_full",
                "Closed for want of room.",
                of.closed_idle_full,
            ),
            (
                "closed_evicted",
                "Closed by evict or close_idle, or to make room.",
                of.closed_evicted,
            ),
            (
                "closed_discarded",
                "Closed by their borrower or after failed I/O.",
                of.closed_discarded,
            ),
            (
                "closed_hook",
                "Closed because a hook refused them.",
                of.closed_hook,
            ),
            (
                "closed_foreign_fd",
                "Forgotten: another file had their number.",
                of.closed_foreign_fd,
            ),
            ("detached", "Given away by detach.", of.detached),
            ("leaks", "Borrowed for too long.", of.leaks),
        ];
        all.into_iter()
            .map(|(name, help, value)| Counter { name, help, value })
            .collect()
    }
}
