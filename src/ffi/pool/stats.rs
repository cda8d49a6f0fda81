//! Counters.

use std::ffi::c_int;

use crate::ffi::arguments::sized_struct::{self, SizedStruct};
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::state::counters::for_each_counter;

/// What a pool has counted since it was made, and four gauges. At rest dials - dial_failures + puts
/// = idle + borrowed + gets + detached + stale_at_borrow + dirty_at_borrow + all closed_*.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_stats {
    /// The size that the caller gave.
    pub size: usize,
    /// Fresh dials that ended, failures included.
    pub dials: u64,
    /// Fresh dials that failed.
    pub dial_failures: u64,
    /// Connections taken by put and add.
    pub puts: u64,
    /// Connections given away by get.
    pub gets: u64,
    /// Idle connections handed out.
    pub reuses: u64,
    /// Connections given back and kept, or handed on.
    pub releases: u64,
    /// Waits at a limit, or for the turn to dial.
    pub waits: u64,
    /// Dials that ended with VCP_ERR_TIMEOUT while waiting.
    pub wait_timeouts: u64,
    /// Microseconds spent waiting.
    pub wait_us: u64,
    /// Found closed or failed when about to be handed out.
    pub stale_at_borrow: u64,
    /// Found with unread bytes when about to be handed out.
    pub dirty_at_borrow: u64,
    /// Closed by the background watch: the peer closed, or sent bytes.
    pub closed_while_idle: u64,
    /// Closed after idle_timeout_ms.
    pub closed_idle_timeout: u64,
    /// Closed at the end of their lifetime.
    pub closed_lifetime: u64,
    /// Closed after max_uses borrows.
    pub closed_max_uses: u64,
    /// Closed because there was no room to keep them.
    pub closed_idle_full: u64,
    /// Closed by evict or close_idle, or to make room.
    pub closed_evicted: u64,
    /// Closed by their borrower, or after failed I/O, or found closed at give-back.
    pub closed_discarded: u64,
    /// Closed because a hook refused them.
    pub closed_hook: u64,
    /// Forgotten, because verify_release found another file under their number.
    pub closed_foreign_fd: u64,
    /// Given away by detach.
    pub detached: u64,
    /// Reported as borrowed for too long.
    pub leaks: u64,
    /// Gauge: idle now.
    pub idle: u64,
    /// Gauge: borrowed now.
    pub borrowed: u64,
    /// Gauge: being dialed now.
    pub dialing: u64,
    /// Gauge: waiting at a limit now.
    pub waiting: u64,
    /// Calls of on_idle that ended. 0 as long as on_idle is not supported.
    pub idle_checks: u64,
    /// Gauge, a part of borrowed: given back, with an on_release that runs in the background. 0 as
    /// long as on_release_in_background is not supported.
    pub releasing: u64,
}

// SAFETY: repr(C), size first, integers only.
unsafe impl SizedStruct for vcp_stats {
    const NAME: &'static str = "vcp_stats";
    const LEAST_SIZE: usize = size_of::<usize>();
}

/// Writes the pool's counters. size is sizeof *stats; of a shorter one what fits is written.
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
            idle_checks: 0,
            releasing: 0,
                }
            };
        }
        let record = for_each_counter!(record);
        // SAFETY: the program promises `size` writable bytes.
        unsafe { sized_struct::write(stats, size, record) }
    })
}
