//! The program: it makes its pools, lets threads use them, and closes them.

use std::ptr;
use std::sync::Arc;

use super::operations::{draw, operate, PoolHandle};
use super::plan::Plan;
use super::{audit, driver, hooks, rest};
use crate::ffi::basics::status::{VCP_ERR_POOL_CLOSED, VCP_ERR_SYSTEM};
use crate::ffi::pool::lifecycle::{vcp_pool_close, vcp_pool_new};
use crate::world::{self, tasks, time, trace, violated};

/// The header: the library's threads are gone so soon after the last pool's end.
const THREADS_GONE_WITHIN: u64 = 5_000 * time::MS;

pub(crate) fn run(plan: Plan) {
    tell(&plan);
    world::with(|world| world.audit.most_conns = plan.limits.max_conns);
    let pools = 0..plan.pools as usize;
    let pools: Vec<_> = pools.filter_map(|number| new_pool(&plan, number)).collect();
    if pools.is_empty() {
        return;
    }
    let (plan, pools) = (Arc::new(plan), Arc::new(pools));
    let threads: Vec<usize> = (0..plan.threads)
        .map(|number| {
            let (plan, pools) = (plan.clone(), pools.clone());
            tasks::spawn(&format!("thread {number}"), move || {
                for _ in 0..plan.operations {
                    operate(draw(|random| random.pick(&pools)), &plan);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(tasks::join);
    pools.iter().for_each(|&pool| end(pool, &plan));
    trace::line(|| "the pools are closed".to_owned());
    world::with(|world| world.audit.closed_at = world.now);
}

fn tell(plan: &Plan) {
    let Plan {
        style,
        is_observed,
        limits,
        chances,
        ..
    } = plan;
    trace::line(|| format!("{style:?}, observed: {is_observed}, {limits:?}"));
    trace::line(|| format!("{chances:?}"));
    for server in &plan.servers {
        trace::line(|| format!("{server:?}"));
    }
    for name in &plan.names {
        trace::line(|| format!("{name:?}"));
    }
}

/// `None` where a fault keeps it from being made.
fn new_pool(plan: &Plan, number: usize) -> Option<PoolHandle> {
    let mut options = plan.limits.options();
    hooks::set(&mut options, plan, number);
    let mut pool = ptr::null_mut();
    // SAFETY: options that were initialised, and an out parameter.
    match unsafe { vcp_pool_new(&options, &mut pool) } {
        0 => {
            world::with(|world| world.audit.pools_made += 1);
            Some(PoolHandle(pool as usize))
        }
        VCP_ERR_SYSTEM if plan.chances.fault > 0 => None,
        made => violated(&format!("vcp_pool_new returns {made}")),
    }
}

fn end(pool: PoolHandle, plan: &Plan) {
    rest::check(pool.pointer(), plan);
    match vcp_pool_close(pool.pointer()) {
        0 => {}
        VCP_ERR_POOL_CLOSED if plan.ends_early => {}
        closed => violated(&format!("vcp_pool_close returns {closed}")),
    }
}

/// Every thread has ended.
pub(crate) fn check_end() {
    audit::check_data();
    driver::check_sessions();
    hooks::check_end();
    world::with(|world| {
        let open: Vec<_> = world.descriptors.open().collect();
        if !open.is_empty() {
            violated(&format!("descriptors are open at the end: {open:?}"));
        }
        let slowest = world.network.names.iter().map(|name| name.takes).max();
        let until = world.audit.closed_at + THREADS_GONE_WITHIN + slowest.unwrap_or(0);
        if world.audit.pools_made > 0 && world.now > until + world.slipped {
            violated("a thread of the library outlives the last pool by 5 s");
        }
    });
}
