//! Code of the program that pools call: hooks, which may take their time and refuse, and the
//! observer.

use std::ffi::{c_int, c_void};

use super::operations::{draw, sleep};
use super::plan::{Plan, Style};
use super::{driver, plan};
use crate::ffi::callback_types::{
    vcp_event, VCP_EVENT_DIAL_DONE, VCP_EVENT_DIAL_FAILED, VCP_EVENT_DIAL_START,
    VCP_EVENT_WAIT_DONE, VCP_EVENT_WAIT_START,
};
use crate::ffi::handles::vcp_conn;
use crate::ffi::pool::options::vcp_pool_options;
use crate::world::{self, trace, violated};

/// What a hook takes at the most.
pub(crate) const LONGEST_MS: u32 = 100;

/// Sets the callbacks of one pool.
pub(crate) fn set(options: &mut vcp_pool_options, plan: &Plan, pool: usize) {
    options.user = (pool + 1) as *mut c_void;
    options.free_user = Some(free_user);
    if plan.is_observed {
        options.on_event = Some(on_event);
    }
    match plan.style {
        Style::Plain => {}
        Style::Hooks => set_hooks(options),
        Style::Sessions => {
            options.open_session = Some(driver::open_session);
            if draw(|random| random.one_in(2)) {
                set_hooks(options);
            }
        }
    }
}

fn set_hooks(options: &mut vcp_pool_options) {
    draw(|random| {
        options.on_open = random.one_in(2).then_some(hook as _);
        options.on_reuse = random.one_in(2).then_some(hook as _);
        options.on_release = random.one_in(2).then_some(hook as _);
        options.on_release_in_background = random.pick(&[0, 1]);
        options.on_reuse_after_ms = random.pick(&[0, 0, 50]);
        if random.one_in(2) {
            options.on_idle = Some(hook);
            options.on_idle_ms = random.pick(&[10, 200]);
        }
        options.hook_timeout_ms = random.pick(&[5_000, 5_000, 30]);
    });
}

/// Every hook: nobody else has the connection while it runs.
unsafe extern "C" fn hook(_user: *mut c_void, _conn: *mut vcp_conn, fd: c_int) -> c_int {
    set_owner(fd, None, Some(()));
    trace::line(|| format!("a hook runs for {fd}"));
    match draw(|random| random.up_to(8)) {
        0 => sleep(1),
        1 => sleep(20),
        2 => sleep(LONGEST_MS),
        _ => world::step(),
    }
    set_owner(fd, Some(()), None);
    c_int::from(draw(|random| random.one_in(10)))
}

fn set_owner(fd: c_int, from: Option<()>, to: Option<()>) {
    world::with(|world| {
        let current = world.tasks.current;
        let Ok(file) = world.descriptors.file(fd) else {
            violated("a hook runs for a descriptor that is closed");
        };
        let Some(socket) = world.files.socket(file) else {
            violated("a hook runs for what is no socket");
        };
        let before = std::mem::replace(&mut socket.borrower, to.map(|()| current));
        if before != from.map(|()| current) {
            violated(&format!("a hook runs for {fd}, which task {before:?} has"));
        }
    });
}

/// Dials begun and ended, waits begun and ended.
unsafe extern "C" fn on_event(_user: *mut c_void, event: *const vcp_event) {
    // SAFETY: valid while the callback runs (header).
    let kind = unsafe { (*event).kind };
    world::step();
    let at = match kind {
        VCP_EVENT_DIAL_START => 0,
        VCP_EVENT_DIAL_DONE | VCP_EVENT_DIAL_FAILED => 1,
        VCP_EVENT_WAIT_START => 2,
        VCP_EVENT_WAIT_DONE => 3,
        _ => return,
    };
    world::with(|world| world.audit.events[at] += 1);
}

unsafe extern "C" fn free_user(_user: *mut c_void) {
    world::with(|world| world.audit.users_freed += 1);
}

/// Every dial and every wait that has begun has ended, as the observer hears it. A closed pool
/// tells no more, so one that is the only one is asked.
pub(crate) fn is_told_all(plan: &Plan) -> bool {
    let [dials, dials_ended, waits, waits_ended] = world::with(|world| world.audit.events);
    let is_open = plan.pools == 1 && !plan.ends_early;
    !is_open || (dials == dials_ended && waits == waits_ended)
}

/// At the end.
pub(crate) fn check_end() {
    let (freed, pools) = world::with(|world| {
        let audit = &world.audit;
        (audit.users_freed, audit.pools_made)
    });
    if freed != pools {
        violated(&format!(
            "free_user has run {freed} times for {pools} pools"
        ));
    }
}
