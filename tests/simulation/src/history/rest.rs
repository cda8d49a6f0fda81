//! What must hold whenever one looks, and when nothing is under way.

use super::hooks;
use super::operations::sleep;
use super::plan::Plan;
use crate::ffi::basics::status::VCP_ERR_POOL_CLOSED;
use crate::ffi::handles::vcp_pool;
use crate::ffi::pool::contents::{vcp_pool_conn_count, vcp_pool_idle_count};
use crate::ffi::pool::set_limits::vcp_pool_set_limits;
use crate::ffi::pool::stats::{vcp_pool_stats, vcp_stats};
use crate::world::{self, violated};

pub(crate) fn stats(pool: *mut vcp_pool) -> vcp_stats {
    let mut stats = std::mem::MaybeUninit::<vcp_stats>::zeroed();
    // SAFETY: as large as it is told; zeroes are valid.
    unsafe {
        vcp_pool_stats(pool, stats.as_mut_ptr(), size_of::<vcp_stats>());
        stats.assume_init()
    }
}

/// At any moment: open and being dialed, within the limit.
pub(crate) fn look_at_stats(pool: *mut vcp_pool) {
    let stats = stats(pool);
    let most = world::with(|world| world.audit.most_conns);
    let open = stats.idle + stats.borrowed + stats.dialing;
    if most > 0 && open > u64::from(most) {
        violated(&format!("{open} connections are open or dialed, of {most}"));
    }
}

fn is_busy(stats: &vcp_stats) -> bool {
    stats.dialing + stats.borrowed + stats.releasing + stats.waiting > 0
}

/// No thread of the program uses the pool any more.
pub(crate) fn check(pool: *mut vcp_pool, plan: &Plan) {
    // What is kept filled up has no rest.
    let mut options = plan.limits.options();
    options.min_idle_per_address = 0;
    // SAFETY: options that were initialised.
    let set = unsafe { vcp_pool_set_limits(pool, &options) };
    if set == VCP_ERR_POOL_CLOSED && plan.ends_early {
        return;
    }
    if set != 0 {
        violated("limits that the pool had are refused");
    }
    // What goes on in the background has its time.
    const LONGEST_MS: u32 = 40_000;
    let mut waited = 0;
    loop {
        look_at_stats(pool);
        let seen = stats(pool);
        let count = vcp_pool_conn_count(pool);
        // SAFETY: NULL stands for all.
        let idle = unsafe { vcp_pool_idle_count(pool, std::ptr::null(), std::ptr::null()) };
        // The engine may have closed one, or on_idle be asked about one, between two looks.
        let after = stats(pool);
        let is_same = came_and_went(&seen) == came_and_went(&after)
            && (after.idle, after.idle_checks) == (seen.idle, seen.idle_checks);
        if !is_busy(&seen) && !is_busy(&after) && is_same && hooks::is_told_all(plan) {
            return check_sums(&seen, count, idle);
        }
        if waited > LONGEST_MS {
            violated(&format!(
                "nobody uses the pool, and it does not rest: {}",
                text(&seen)
            ));
        }
        sleep(100);
        waited += 100;
    }
}

fn text(stats: &vcp_stats) -> String {
    let vcp_stats {
        idle,
        borrowed,
        dialing,
        waiting,
        releasing,
        ..
    } = stats;
    let under_way = format!("dialing {dialing}, waiting {waiting}, releasing {releasing}");
    format!("idle {idle}, borrowed {borrowed}, {under_way}")
}

/// How many connections there were, and how many there are no more. Neither goes down.
fn came_and_went(s: &vcp_stats) -> (u64, u64) {
    let endings = s.closed_while_idle
        + s.closed_idle_timeout
        + s.closed_lifetime
        + s.closed_max_uses
        + s.closed_idle_full
        + s.closed_evicted
        + s.closed_discarded
        + s.closed_hook
        + s.closed_foreign_fd;
    let came = s.dials - s.dial_failures + s.puts;
    let went = s.gets + s.detached + s.stale_at_borrow + s.dirty_at_borrow + endings;
    (came, went)
}

fn check_sums(s: &vcp_stats, count: i64, idle: i64) {
    let (came, went) = came_and_went(s);
    if came != s.idle + s.borrowed + went {
        violated(&format!(
            "the statistics do not add up: {came} came, {went} went, {}",
            text(s)
        ));
    }
    if (s.idle + s.borrowed) as i64 != count || s.idle as i64 != idle {
        violated(&format!(
            "gauges and counts differ: {count} {idle}, {}",
            text(s)
        ));
    }
}
