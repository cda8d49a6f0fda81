//! What a program's thread does next.

use super::plan::{Plan, Style};
use super::{asynchronous, dials, exchange, rest};
use crate::ffi::handles::vcp_pool;
use crate::ffi::pool::contents::{vcp_pool_close_idle, vcp_pool_evict};
use crate::ffi::pool::describe::vcp_pool_describe;
use crate::ffi::pool::lifecycle::{vcp_pool_abort, vcp_pool_close, vcp_pool_drain};
use crate::world::random::Random;
use crate::world::{self, tasks, time, trace};

/// A pool of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolHandle(pub(crate) usize);

impl PoolHandle {
    pub(crate) fn pointer(self) -> *mut vcp_pool {
        self.0 as *mut vcp_pool
    }
}

/// Of the history's chance.
pub(crate) fn draw<R>(f: impl FnOnce(&mut Random) -> R) -> R {
    world::with(|world| f(&mut world.random))
}

pub(crate) fn sleep(ms: u32) {
    let until = world::with(|world| world.now + u64::from(ms) * time::MS);
    tasks::sleep_on(&[], Some(until), "sleeping");
}

/// One operation.
pub(crate) fn operate(pool: PoolHandle, plan: &Plan) {
    match draw(|random| random.up_to(40)) {
        0..20 => dials::borrow(pool, plan),
        20..26 => asynchronous::dial(pool, plan),
        26..29 => sleep(draw(|random| random.pick(&[1, 5, 50, 600, 3_000]))),
        29 => {
            trace::line(|| "close_idle".to_owned());
            vcp_pool_close_idle(pool.pointer());
        }
        30 => evict(pool, plan),
        31 => exchange::warm(pool, plan),
        32 | 33 if plan.changes_limits => exchange::set_limits(pool, plan),
        34 => exchange::get_and_put(pool, plan),
        35 => exchange::dial_and_put(pool, plan),
        36 if plan.ends_early => end(pool),
        37 => describe(pool),
        _ => rest::look_at_stats(pool.pointer()),
    }
}

fn evict(pool: PoolHandle, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    trace::line(|| format!("evict {address:?}"));
    // SAFETY: NUL-terminated texts.
    unsafe { vcp_pool_evict(pool.pointer(), c"tcp".as_ptr(), address.as_ptr()) };
}

fn describe(pool: PoolHandle) {
    let mut text = [0u8; 64];
    // SAFETY: so many writable bytes.
    unsafe { vcp_pool_describe(pool.pointer(), 0, text.as_mut_ptr().cast(), text.len()) };
}

fn end(pool: PoolHandle) {
    match draw(|random| random.up_to(3)) {
        0 => {
            trace::line(|| "abort".to_owned());
            vcp_pool_abort(pool.pointer());
        }
        1 => {
            let timeout_ms = draw(|random| random.pick(&[0, 10, 1_000]));
            trace::line(|| format!("drain {timeout_ms}"));
            let began = super::borrow::Began::now();
            vcp_pool_drain(pool.pointer(), timeout_ms);
            began.check_in_time("a drain", timeout_ms);
        }
        _ => {
            trace::line(|| "closes the pool".to_owned());
            vcp_pool_close(pool.pointer());
        }
    }
}

/// Whether deadlines bind the library alone: code of the program that runs on a dialing thread is
/// not ended by one.
pub(crate) fn keeps_time(plan: &Plan) -> bool {
    plan.style == Style::Plain
}
