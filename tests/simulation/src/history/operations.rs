//! What a program's thread does next.

use std::ptr;

use super::borrow::{Began, Borrow};
use super::plan::Plan;
use crate::ffi::dial::blocking::vcp_dial_with;
use crate::ffi::dial::options::{
    vcp_dial_options, vcp_dial_options_init, VCP_DIAL_FRESH, VCP_DIAL_REUSE_ONLY,
};
use crate::ffi::handles::vcp_pool;
use crate::ffi::pool::contents::{vcp_pool_close_idle, vcp_pool_evict};
use crate::world::random::Random;
use crate::world::{self, tasks, time, trace, violated};

/// Of the history's chance.
pub(crate) fn draw<R>(f: impl FnOnce(&mut Random) -> R) -> R {
    world::with(|world| f(&mut world.random))
}

pub(crate) fn sleep(ms: u32) {
    let until = world::with(|world| world.now + u64::from(ms) * time::MS);
    tasks::sleep_on(&[], Some(until), "sleeping");
}

pub(crate) fn dial_options() -> vcp_dial_options {
    let mut options = std::mem::MaybeUninit::<vcp_dial_options>::uninit();
    // SAFETY: as large as it is told; filled by the call.
    unsafe {
        vcp_dial_options_init(options.as_mut_ptr(), size_of::<vcp_dial_options>());
        options.assume_init()
    }
}

/// One operation.
pub(crate) fn operate(pool: *mut vcp_pool, plan: &Plan) {
    match draw(|random| random.up_to(20)) {
        0..15 => borrow(pool, plan),
        15 | 16 => sleep(draw(|random| random.pick(&[1, 5, 50, 600, 3_000]))),
        17 => {
            trace::line(|| "close_idle".to_owned());
            vcp_pool_close_idle(pool);
        }
        18 => evict(pool, plan),
        _ => super::rest::look_at_stats(pool),
    }
}

fn evict(pool: *mut vcp_pool, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    trace::line(|| format!("evict {address:?}"));
    // SAFETY: NUL-terminated texts.
    unsafe { vcp_pool_evict(pool, c"tcp".as_ptr(), address.as_ptr()) };
}

fn borrow(pool: *mut vcp_pool, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    let mut options = dial_options();
    draw(|random| {
        options.timeout_ms = random.pick(&[i64::MIN, i64::MIN, 0, 1, 10, 100, 300, 1_000]);
        options.flags = random.pick(&[0, 0, 0, 0, 0, 0, VCP_DIAL_FRESH, VCP_DIAL_REUSE_ONLY]);
    });
    let timeout_ms = match options.timeout_ms {
        i64::MIN => plan.limits.dial_timeout_ms,
        own => own,
    };
    let began = Began::now();
    let mut conn = ptr::null_mut();
    // SAFETY: NUL-terminated texts, and an out parameter.
    let fd = unsafe { vcp_dial_with(pool, c"tcp".as_ptr(), address.as_ptr(), &options, &mut conn) };
    trace::line(|| format!("dial {address:?} flags {} = {fd}", options.flags));
    began.check_in_time("a dial", timeout_ms);
    if fd < 0 {
        return check_failure(fd);
    }
    let borrow = Borrow::enter(conn, fd, began, plan.limits.liveness);
    if draw(|random| random.one_in(4)) {
        borrow.set_data();
    }
    match draw(|random| random.up_to(4)) {
        0 | 1 => borrow.echo(draw(|random| random.pick(&[1, 10, 100, 1_000]))),
        2 => sleep(draw(|random| random.pick(&[1, 10, 100]))),
        _ => {}
    }
    match draw(|random| random.up_to(20)) {
        0 => borrow.detach(),
        1 | 2 => borrow.discard(),
        _ => borrow.give_back(),
    }
}

fn check_failure(status: i32) {
    const INTERNAL: i32 = -99;
    if status == INTERNAL {
        violated("VCP_ERR_INTERNAL");
    }
}
