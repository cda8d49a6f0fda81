//! What a pool counts, and why connections are closed.
#![forbid(unsafe_code)]

/// Why the pool closes a connection: finer than the reasons that events tell, because `vcp_stats` counts finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
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
    pub(crate) fn closed(&mut self, cause: Cause) {
        *match cause {
            Cause::StaleAtBorrow => &mut self.stale_at_borrow,
            Cause::DirtyAtBorrow => &mut self.dirty_at_borrow,
            Cause::PeerClosedWhileIdle | Cause::DirtyWhileIdle => &mut self.closed_while_idle,
            Cause::IdleTimeout => &mut self.closed_idle_timeout,
            Cause::Lifetime => &mut self.closed_lifetime,
            Cause::MaxUses => &mut self.closed_max_uses,
            Cause::IdleFull => &mut self.closed_idle_full,
            Cause::Evicted | Cause::PoolClosedWhileIdle => &mut self.closed_evicted,
            Cause::Discarded | Cause::Failed | Cause::PeerClosedAtGiveBack | Cause::PoolClosed => {
                &mut self.closed_discarded
            }
            Cause::ForeignFd => &mut self.closed_foreign_fd,
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
