//! What goes into a pool and out of it otherwise: put, get, warm; and limits that change.

use std::ptr;

use super::borrow::Began;
use super::dials::{check_status, no_options};
use super::driver;
use super::operations::{draw, PoolHandle};
use super::plan::{Plan, Style};
use crate::ffi::pool::contents::vcp_pool_warm;
use crate::ffi::pool::exchange::{vcp_pool_get, vcp_pool_put};
use crate::ffi::pool::set_limits::vcp_pool_set_limits;
use crate::world::{self, trace, violated};

pub(crate) fn warm(pool: PoolHandle, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    let mut options = no_options();
    options.timeout_ms = draw(|random| random.pick(&[10, 300, 1_000]));
    let began = Began::now();
    // SAFETY: NUL-terminated texts.
    let idle = unsafe {
        vcp_pool_warm(
            pool.pointer(),
            c"tcp".as_ptr(),
            address.as_ptr(),
            &options,
            draw(|random| random.between(1, 2)),
        )
    };
    trace::line(|| format!("warm {address:?} = {idle}"));
    check_status(idle);
    if plan.style == Style::Plain {
        began.check_in_time("a warming", options.timeout_ms);
    }
}

pub(crate) fn set_limits(pool: PoolHandle, plan: &Plan) {
    let mut limits = plan.limits.clone();
    draw(|random| limits.change(random));
    trace::line(|| format!("set_limits {limits:?}"));
    let options = limits.options();
    world::with(|world| world.audit.allow(limits.max_conns));
    // SAFETY: options that were initialised.
    let set = unsafe { vcp_pool_set_limits(pool.pointer(), &options) };
    check_status(set);
}

/// Takes an idle one away, and brings it back, or closes it.
pub(crate) fn get_and_put(pool: PoolHandle, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    let network = c"tcp".as_ptr();
    // SAFETY: NUL-terminated texts.
    let fd = unsafe { vcp_pool_get(pool.pointer(), network, address.as_ptr(), ptr::null()) };
    trace::line(|| format!("get {address:?} = {fd}"));
    check_status(fd);
    if fd >= 0 {
        driver::must_be_mine(fd, "vcp_pool_get");
        put(pool, &address, fd);
    }
}

/// Dials by itself, and gives the pool what it gets.
pub(crate) fn dial_and_put(pool: PoolHandle, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    let Some(at) = plan.server_of(&address) else {
        return;
    };
    if let Some(fd) = driver::connect(at) {
        put(pool, &address, fd);
    }
}

fn put(pool: PoolHandle, address: &std::ffi::CStr, fd: i32) {
    let network = c"tcp".as_ptr();
    // SAFETY: NUL-terminated texts.
    let taken = unsafe { vcp_pool_put(pool.pointer(), fd, network, address.as_ptr(), ptr::null()) };
    trace::line(|| format!("put {fd} = {taken}"));
    check_status(taken);
    if taken != 0 {
        if world::with(|world| world.descriptors.file(fd).is_err()) {
            violated("a put that failed has closed the descriptor");
        }
        driver::close(fd);
    }
}
