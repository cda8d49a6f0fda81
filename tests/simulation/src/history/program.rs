//! The program: it makes a pool, lets threads use it, and closes it.

use std::ptr;
use std::sync::Arc;

use super::plan::Plan;
use super::{audit, operations, rest};
use crate::ffi::handles::vcp_pool;
use crate::ffi::pool::lifecycle::{vcp_pool_close, vcp_pool_new};
use crate::world::{self, tasks, time, trace, violated};

/// The header: the library's threads are gone so soon after the last pool's end.
const THREADS_GONE_WITHIN: u64 = 5_000 * time::MS;

pub(crate) fn run(plan: Plan) {
    let options = plan.limits.options();
    trace::line(|| format!("{:?}", plan.limits));
    trace::line(|| format!("{:?}", plan.chances));
    for server in &plan.servers {
        trace::line(|| format!("{server:?}"));
    }
    for name in &plan.names {
        trace::line(|| format!("{name:?}"));
    }
    world::with(|world| world.audit.most_conns = plan.limits.max_conns);
    let mut pool = ptr::null_mut();
    // SAFETY: options that were initialised, and an out parameter.
    let made = unsafe { vcp_pool_new(&options, &mut pool) };
    if made != 0 {
        // Faults may do that; options never.
        if made != crate::ffi::basics::status::VCP_ERR_SYSTEM {
            violated(&format!("vcp_pool_new returns {made}"));
        }
        return;
    }
    let plan = Arc::new(plan);
    let threads: Vec<usize> = (0..plan.threads)
        .map(|number| {
            let (plan, pool) = (plan.clone(), pool as usize);
            tasks::spawn(&format!("thread {number}"), move || {
                for _ in 0..plan.operations {
                    operations::operate(pool as *mut vcp_pool, &plan);
                }
            })
        })
        .collect();
    for thread in threads {
        tasks::join(thread);
    }
    rest::check(pool, &plan);
    let closed = vcp_pool_close(pool);
    if closed != 0 {
        violated(&format!("vcp_pool_close returns {closed}"));
    }
    trace::line(|| "the pool is closed".to_owned());
    world::with(|world| world.audit.closed_at = world.now);
}

/// Every thread has ended.
pub(crate) fn check_end() {
    audit::check_data();
    world::with(|world| {
        let open: Vec<_> = world.descriptors.open().collect();
        if !open.is_empty() {
            violated(&format!("descriptors are open at the end: {open:?}"));
        }
        let slowest = world.network.names.iter().map(|name| name.takes).max();
        let until = world.audit.closed_at + THREADS_GONE_WITHIN + slowest.unwrap_or(0);
        if world.now > until + world.slipped {
            violated("a thread of the library outlives the last pool by 5 s");
        }
    });
}
