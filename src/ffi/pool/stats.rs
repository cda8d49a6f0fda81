//! Counters.

use std::ffi::c_int;

use crate::ffi::arguments::sized_struct::{self, SizedStruct};
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::state::counters::for_each_counter;

/// ---- STATISTICS ----
///
/// What a pool has counted since it was made. vcp_pool_stats writes it. When nothing is in flight,
///
///     dials - dial_failures + puts
///         = idle + borrowed + gets + detached + stale_at_borrow + dirty_at_borrow + all closed_*.
///
/// In a forked child all counters start at 0.
///
/// ----
///
/// Counters and gauges of a pool.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_stats {
    /// The size that the caller gave.
    pub size: usize,
    /// Dials of new connections that ended, those that failed included.
    pub dials: u64,
    /// Dials of new connections that failed.
    pub dial_failures: u64,
    /// Connections that put, add and put_session gave the pool.
    pub puts: u64,
    /// Connections that get took away.
    pub gets: u64,
    /// Connections of the pool that were handed out.
    pub reuses: u64,
    /// Connections that were given back, and kept or handed on.
    pub releases: u64,
    /// Waits at a limit, or for the turn to dial, that began.
    pub waits: u64,
    /// Dials that ended with VCP_ERR_TIMEOUT while they waited.
    pub wait_timeouts: u64,
    /// Microseconds that dials have waited.
    pub wait_us: u64,
    /// Connections found closed or failed when they were to be handed out.
    pub stale_at_borrow: u64,
    /// Connections found with unread bytes when they were to be handed out.
    pub dirty_at_borrow: u64,
    /// Connections closed by the background watch: the peer hung up, or sent bytes.
    pub closed_while_idle: u64,
    /// Connections closed after idle_timeout_ms.
    pub closed_idle_timeout: u64,
    /// Connections closed at the end of their lifetime.
    pub closed_lifetime: u64,
    /// Connections closed after max_uses borrows.
    pub closed_max_uses: u64,
    /// Connections closed because there was no room to keep them.
    pub closed_idle_full: u64,
    /// Connections closed by evict, close_idle, drain or close while idle, or to make room.
    pub closed_evicted: u64,
    /// Connections closed because their borrower discarded them, their I/O failed, the pool was
    /// aborted, closed or drained meanwhile, or the peer had hung up when they were given back.
    pub closed_discarded: u64,
    /// Connections closed because on_reuse, on_release or on_idle refused them.
    pub closed_hook: u64,
    /// Connections forgotten because another file was found under their number.
    pub closed_foreign_fd: u64,
    /// Connections that detach took away.
    pub detached: u64,
    /// Connections that were borrowed for longer than leak_threshold_ms.
    pub leaks: u64,
    /// Gauge: how many connections are idle now.
    pub idle: u64,
    /// Gauge: how many connections are borrowed now.
    pub borrowed: u64,
    /// Gauge: how many connections are being dialed now.
    pub dialing: u64,
    /// Gauge: how many dials wait now.
    pub waiting: u64,
    /// Calls of on_idle that ended.
    pub idle_checks: u64,
    /// Gauge: how many connections on_release looks at in the background; a part of borrowed.
    pub releasing: u64,
}

// SAFETY: repr(C), size first, integers only.
unsafe impl SizedStruct for vcp_stats {
    const NAME: &'static str = "vcp_stats";
    const LEAST_SIZE: usize = size_of::<usize>();
}

/// ---- REPORTS ----
///
/// ----
///
/// Writes the pool's counters to *stats. Pass sizeof *stats as size: of a shorter struct what fits
/// is written, and what a longer one has beyond this version is zeroed.
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED; VCP_ERR_INVALID_ARGUMENT if stats is NULL,
/// or size is less than a size_t or more than 64 KiB.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_stats(
    pool: *mut vcp_pool,
    stats: *mut vcp_stats,
    size: usize,
) -> c_int {
    guard(|| {
        let now = pool_of(pool)?.stats();
        let counted = now.counters;
        macro_rules! record {
            ($($name:ident: $help:literal,)*) => {
                vcp_stats {
                    size,
                    $($name: counted.$name,)*
                    idle: now.idle,
                    borrowed: now.borrowed,
                    dialing: now.dialing,
                    waiting: now.waiting,
                    releasing: now.releasing,
                }
            };
        }
        let record = for_each_counter!(record);
        // SAFETY: the program promises `size` writable bytes.
        unsafe { sized_struct::write(stats, size, record) }
    })
}
