//! Asynchronous dials: each is answered once, in time.

use std::os::fd::BorrowedFd;
use std::ptr;

use super::borrow::{Began, Borrow};
use super::dials::{check_status, draw_options, timeout_ms, use_it};
use super::hooks;
use super::operations::{draw, PoolHandle};
use super::plan::{Plan, Style};
use crate::ffi::basics::status::VCP_ERR_IN_PROGRESS;
use crate::ffi::dial::asynchronous::vcp_dial_async;
use crate::ffi::handles::vcp_queue;
use crate::ffi::queue::{
    vcp_completion, vcp_queue_fd, vcp_queue_free, vcp_queue_new, vcp_queue_next,
};
use crate::sys::poll::{self, Interest};
use crate::values::clock::{Deadline, Time};
use crate::world::time::MS;
use crate::world::{self, trace, violated, World};

/// epoll sleeps for whole milliseconds, and a deadline may lie between two.
const ROUNDING_MS: i64 = 1;

/// Some dials into one queue; then their answers, or the queue's end before them.
pub(crate) fn dial(pool: PoolHandle, plan: &Plan) {
    let mut queue = ptr::null_mut();
    // SAFETY: an out parameter.
    if unsafe { vcp_queue_new(&mut queue) } != 0 {
        return;
    }
    let many = draw(|random| random.between(1, 3));
    let mut under_way: Vec<(Began, i64)> = Vec::new();
    for token in 0..many as usize {
        start(pool, plan, queue, token, &mut under_way);
    }
    if draw(|random| random.one_in(5)) {
        trace::line(|| "frees the queue before the answers".to_owned());
    } else {
        fetch_all(plan, queue, &mut under_way);
    }
    if vcp_queue_free(queue) != 0 {
        violated("a queue is not freed");
    }
}

fn start(
    pool: PoolHandle,
    plan: &Plan,
    queue: *mut vcp_queue,
    token: usize,
    under_way: &mut Vec<(Began, i64)>,
) {
    let address = draw(|random| random.pick(&plan.addresses));
    let options = draw_options();
    let began = Began::now();
    let mut conn = ptr::null_mut();
    // SAFETY: NUL-terminated texts, and an out parameter.
    let fd = unsafe {
        vcp_dial_async(
            pool.pointer(),
            c"tcp".as_ptr(),
            address.as_ptr(),
            &options,
            queue,
            (under_way.len() + 1) as *mut std::ffi::c_void,
            &mut conn,
        )
    };
    trace::line(|| {
        format!(
            "dial_async {token} {address:?} flags {} = {fd}",
            options.flags
        )
    });
    began.check_in_time("vcp_dial_async", 0);
    match fd {
        VCP_ERR_IN_PROGRESS => {
            let hook_ms = match plan.style {
                Style::Plain => 0,
                // A hook that began in time is waited for.
                Style::Hooks | Style::Sessions => hooks::LONGEST_MS,
            };
            under_way.push((began, timeout_ms(&options, plan) + i64::from(hook_ms)));
        }
        0.. => use_it(Borrow::enter(conn, fd, began, plan.limits.liveness)),
        status => check_status(status),
    }
}

fn fetch_all(plan: &Plan, queue: *mut vcp_queue, under_way: &mut [(Began, i64)]) {
    let mut answered = vec![false; under_way.len()];
    while answered.contains(&false) {
        let mut completion = std::mem::MaybeUninit::<vcp_completion>::zeroed();
        let size = size_of::<vcp_completion>();
        // SAFETY: as large as it is told.
        if unsafe { vcp_queue_next(queue, completion.as_mut_ptr(), size) } == 0 {
            let not_yet = answered.iter().zip(under_way.iter());
            let not_yet = not_yet.filter(|(&answered, _)| !answered);
            wait_for(queue, not_yet.map(|(_, &dial)| dial).collect());
            continue;
        }
        // SAFETY: filled by the call.
        let completion = unsafe { completion.assume_init() };
        let token = completion.token as usize - 1;
        trace::line(|| format!("completion {token} = {}", completion.status));
        if std::mem::replace(&mut answered[token], true) {
            violated("an asynchronous dial is answered twice");
        }
        let (began, _) = under_way[token];
        if completion.status < 0 {
            check_status(completion.status);
        } else {
            let liveness = plan.limits.liveness;
            use_it(Borrow::enter(
                completion.conn,
                completion.status,
                began,
                liveness,
            ));
        }
    }
}

/// Until the last deadline of those that are not answered yet: by then one is.
fn wait_for(queue: *mut vcp_queue, not_yet: Vec<(Began, i64)>) {
    let fd = vcp_queue_fd(queue);
    // SAFETY: the queue lives, and so does its descriptor.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut interest = [Interest::new(fd, poll::READABLE)];
    let last = || {
        let ends = |world: &World, (began, timeout_ms): &(Began, i64)| {
            began.at + (timeout_ms + ROUNDING_MS) as u64 * MS + began.slipped_since(world)
        };
        world::with(|world| not_yet.iter().map(|one| ends(world, one)).max())
    };
    loop {
        let until = last().unwrap_or(0);
        let deadline = Deadline::at(Time::from_nanos(until + 1));
        if poll::wait(&mut interest, deadline).is_ok_and(|ready| ready > 0) {
            return;
        }
        // Unless time passed while a thread could run.
        if last().unwrap_or(0) <= until {
            violated("an asynchronous dial is not answered in time");
        }
    }
}
