//! Blocking dials, and what must hold of them.

use std::ffi::CString;
use std::ptr;

use super::audit::Asking;
use super::borrow::{Began, Borrow};
use super::driver;
use super::operations::{draw, keeps_time, sleep, PoolHandle};
use super::plan::Plan;
use crate::ffi::basics::status::{
    VCP_ERR_CANCELED, VCP_ERR_CONNECT, VCP_ERR_INTERNAL, VCP_ERR_TIMEOUT,
};
use crate::ffi::cancel::{vcp_cancel_fire, vcp_cancel_free, vcp_cancel_new};
use crate::ffi::dial::blocking::vcp_dial_with;
use crate::ffi::dial::options::{
    vcp_dial_options, vcp_dial_options_init, VCP_DIAL_FRESH, VCP_DIAL_REUSE_ONLY,
};
use crate::ffi::handles::vcp_cancel;
use crate::world::time::MS;
use crate::world::{self, tasks, trace, violated};

pub(crate) fn no_options() -> vcp_dial_options {
    let mut options = std::mem::MaybeUninit::<vcp_dial_options>::uninit();
    // SAFETY: as large as it is told; filled by the call.
    unsafe {
        vcp_dial_options_init(options.as_mut_ptr(), size_of::<vcp_dial_options>());
        options.assume_init()
    }
}

/// Options as a program may have them, without a token.
pub(crate) fn draw_options() -> vcp_dial_options {
    let mut options = no_options();
    draw(|random| {
        options.timeout_ms = random.pick(&[i64::MIN, i64::MIN, 0, 1, 10, 100, 300, 1_000, 2_000]);
        options.wait_timeout_ms = random.pick(&[i64::MIN, i64::MIN, i64::MIN, -1, 0, 10]);
        options.flags = random.pick(&[0, 0, 0, 0, 0, 0, VCP_DIAL_FRESH, VCP_DIAL_REUSE_ONLY]);
        if random.one_in(5) {
            options.reuse_tag = c"tag".as_ptr();
        }
    });
    options
}

pub(crate) fn timeout_ms(options: &vcp_dial_options, plan: &Plan) -> i64 {
    match options.timeout_ms {
        i64::MIN => plan.limits.dial_timeout_ms,
        own => own,
    }
}

/// A token, and the thread that fires it.
struct Firing {
    token: *mut vcp_cancel,
    thread: usize,
    /// The time at which it fires.
    at: u64,
}

impl Firing {
    fn begin() -> Option<Self> {
        let mut token = ptr::null_mut();
        // SAFETY: an out parameter.
        if unsafe { vcp_cancel_new(&mut token) } != 0 {
            return None;
        }
        let after_ms = draw(|random| random.pick(&[0u32, 0, 1, 10, 100, 250, 300]));
        let at = world::with(|world| world.now + u64::from(after_ms) * MS);
        let number = token as usize;
        let thread = tasks::spawn("fires", move || {
            tasks::sleep_on(&[], Some(at), "sleeping");
            vcp_cancel_fire(number as *mut vcp_cancel);
        });
        Some(Self { token, thread, at })
    }

    fn end(self) {
        tasks::join(self.thread);
        if vcp_cancel_free(self.token) != 0 {
            violated("a token is not freed");
        }
    }
}

/// Dials, uses what it gets, and gives it back.
pub(crate) fn borrow(pool: PoolHandle, plan: &Plan) {
    let address = draw(|random| random.pick(&plan.addresses));
    let mut options = draw_options();
    let firing_began = Began::now();
    let firing = draw(|random| random.one_in(6))
        .then(Firing::begin)
        .flatten();
    if let Some(firing) = &firing {
        options.cancel = firing.token;
    }
    let began = Began::now();
    let fd = dial(pool, &address, &options, began, plan);
    if keeps_time(plan) {
        let fires_at = firing.as_ref().map(|firing| firing.at);
        began.check_in_time("a dial", timeout_ms(&options, plan));
        if let Some(fires_at) = fires_at.filter(|_| fd.is_err()) {
            firing_began.check_ended_by("a canceled dial", fires_at.max(began.at));
        }
    }
    match fd {
        Ok(borrow) => use_it(borrow),
        Err(status) => check_failure(status, &address, &options, plan),
    }
    if let Some(firing) = firing {
        firing.end();
    }
}

/// The dial itself. Who has waited for long before it began is served before it.
fn dial(
    pool: PoolHandle,
    address: &CString,
    options: &vcp_dial_options,
    began: Began,
    plan: &Plan,
) -> Result<Borrow, i32> {
    let is_ordinary = options.flags == 0 && options.reuse_tag.is_null();
    let before_us = world::with(|world| world.waiting_for(pool.0, address));
    if is_ordinary && options.cancel.is_null() {
        world::with(|world| {
            let task = world.tasks.current;
            world.audit.asking.push(Asking {
                task,
                pool: pool.0,
                address: address.clone(),
            });
        });
    }
    let mut conn = ptr::null_mut();
    // SAFETY: NUL-terminated texts, and an out parameter.
    let fd = unsafe {
        vcp_dial_with(
            pool.pointer(),
            c"tcp".as_ptr(),
            address.as_ptr(),
            options,
            &mut conn,
        )
    };
    let still_waiting = world::with(|world| {
        let task = world.tasks.current;
        world.audit.asking.retain(|one| one.task != task);
        world.waiting_for(pool.0, address)
    });
    trace::line(|| format!("dial {address:?} flags {} = {fd}", options.flags));
    if fd < 0 {
        return Err(fd);
    }
    if is_ordinary {
        let overtaken = before_us
            .into_iter()
            .filter(|one| still_waiting.contains(one));
        world::with(|world| world.audit.overtaken.extend(overtaken));
    }
    Ok(Borrow::enter(conn, fd, began, plan.limits.liveness))
}

/// What a program does with a connection.
pub(crate) fn use_it(mut borrow: Borrow) {
    if borrow.is_session() && driver::wants_to_reconnect() && !borrow.reconnect() {
        return;
    }
    if draw(|random| random.one_in(4)) {
        borrow.set_data();
    }
    match draw(|random| random.up_to(4)) {
        0 | 1 if !borrow.is_session() => {
            borrow.echo(draw(|random| random.pick(&[1, 10, 100, 1_000])))
        }
        2 => sleep(draw(|random| random.pick(&[1, 10, 100]))),
        _ => {}
    }
    match draw(|random| random.up_to(20)) {
        0 => borrow.detach(),
        1 | 2 => borrow.discard(),
        _ => borrow.give_back(),
    }
}

fn check_failure(status: i32, address: &CString, options: &vcp_dial_options, plan: &Plan) {
    check_status(status);
    let within = plan.succeeds_within(address);
    let timeout = timeout_ms(options, plan) as u64 * MS;
    if within.is_some_and(|within| within < timeout)
        && matches!(status, VCP_ERR_TIMEOUT | VCP_ERR_CONNECT)
    {
        violated(&format!(
            "a dial of {address:?} ends with {status} though a server answers"
        ));
    }
    if status == VCP_ERR_CANCELED && options.cancel.is_null() {
        violated("a dial without a token is canceled");
    }
}

pub(crate) fn check_status(status: i32) {
    if status == VCP_ERR_INTERNAL {
        violated("VCP_ERR_INTERNAL");
    }
}
