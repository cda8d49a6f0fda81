//! What a pool counts, and why connections are closed.
#![forbid(unsafe_code)]

/// Why the pool closes a connection: finer than the reasons that events tell, because `vcp_stats`
/// counts finer.
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
    /// The number was another file's: it is forgotten, not closed.
    ForeignFd,
    /// Given back to a pool that was closed or drained.
    PoolClosed,
    /// Idle when the pool was closed or drained.
    PoolClosedWhileIdle,
}

/// The counters of `vcp_stats` in its order (`idle_checks` stands behind the gauges there), each
/// with what the metrics say of it: `$then!` is given the table. A counter that is added here and
/// in the C struct is counted, reported and described.
macro_rules! for_each_counter {
    ($then:ident) => {
        $then! {
            dials: "Fresh dials that ended.",
            dial_failures: "Fresh dials that failed.",
            puts: "Connections taken by put and add.",
            gets: "Connections given away by get.",
            reuses: "Idle connections handed out.",
            releases: "Connections given back and kept or handed on.",
            waits: "Waits at a limit.",
            wait_timeouts: "Waits that ran out.",
            wait_us: "Time spent waiting.",
            stale_at_borrow: "Found closed when about to be handed out.",
            dirty_at_borrow: "Found with unread bytes when about to be handed out.",
            closed_while_idle: "Closed because the peer closed or sent bytes.",
            closed_idle_timeout: "Closed after the idle timeout.",
            closed_lifetime: "Closed at the end of their lifetime.",
            closed_max_uses: "Closed after the last use.",
            closed_idle_full: "Closed for want of room.",
            closed_evicted: "Closed by evict or close_idle, or to make room.",
            closed_discarded: "Closed by their borrower or after failed I/O.",
            closed_hook: "Closed because a hook refused them.",
            closed_foreign_fd: "Forgotten: another file had their number.",
            detached: "Given away by detach.",
            leaks: "Borrowed for too long.",
            idle_checks: "Calls of on_idle that ended.",
        }
    };
}
#[allow(unused_imports)] // by `ffi`, which the checkers do not compile
pub(crate) use for_each_counter;

macro_rules! counters {
    ($($name:ident: $help:literal,)*) => {
        /// The counters of `vcp_stats`; the gauges are derived.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Counters {
            $(#[doc = $help] pub(crate) $name: u64,)*
        }

        impl Counters {
            /// Every counter, in the order of `vcp_stats`.
            pub(crate) fn named(&self) -> Vec<Counter> {
                vec![$(Counter { name: stringify!($name), help: $help, value: self.$name },)*]
            }
        }
    };
}
for_each_counter!(counters);

impl Counters {
    /// Counts one closed connection.
    pub(crate) fn closed(&mut self, cause: CloseCause) {
        *self.of_cause(cause) += 1;
    }

    /// A connection that is counted as closed was forgotten: its number is another file's.
    pub(crate) fn was_foreign(&mut self, counted: CloseCause) {
        *self.of_cause(counted) -= 1;
        self.closed_foreign_fd += 1;
    }

    fn of_cause(&mut self, cause: CloseCause) -> &mut u64 {
        match cause {
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
        }
    }
}

/// Everything that `vcp_pool_stats` tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) counters: Counters,
    pub(crate) idle: u64,
    pub(crate) borrowed: u64,
    pub(crate) dialing: u64,
    pub(crate) waiting: u64,
    /// A part of borrowed.
    pub(crate) releasing: u64,
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
