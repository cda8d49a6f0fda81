//! Calls that dial: at once, with options, in the background, ahead.

use std::ffi::{c_char, c_void, CString};
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};

use vconnpool::ffi::conn::borrow::vcp_conn_close;
use vconnpool::ffi::dial::asynchronous::vcp_dial_async;
use vconnpool::ffi::dial::blocking::{vcp_dial, vcp_dial_with};
use vconnpool::ffi::dial::options::{vcp_dial_options, vcp_dial_options_init};
use vconnpool::ffi::pool::contents::vcp_pool_warm;
use vconnpool::ffi::queue::{vcp_completion, vcp_queue_next};

use super::world::{World, NETWORK};
use crate::bytes::Bytes;
use crate::status::checked;

const TAGS: [*const c_char; 3] = [null(), c"".as_ptr(), c"tag".as_ptr()];

fn dial_options(world: &World, bytes: &mut Bytes<'_>) -> vcp_dial_options {
    // SAFETY: plain data, filled by the library.
    let mut options: vcp_dial_options = unsafe { zeroed() };
    // SAFETY: a whole struct.
    checked(unsafe { vcp_dial_options_init(&mut options, size_of::<vcp_dial_options>()) });
    options.timeout_ms = bytes.pick(&[1, 2, 0, -2]);
    options.wait_timeout_ms = bytes.pick(&[0, 1, i64::MIN]);
    options.flags = bytes.pick(&[0, 0, 1, 2, 3, 8, 16, 24]);
    options.reuse_tag = bytes.pick(&TAGS);
    options.label = bytes.pick(&TAGS);
    options.cancel = bytes.pick(&[null_mut(), world.token]);
    options
}

/// Anything may be the text of an address.
fn address(world: &mut World, bytes: &mut Bytes<'_>) -> CString {
    if bytes.byte() % 16 != 15 {
        return world.address(bytes);
    }
    let count = usize::from(bytes.byte() % 8);
    let text: Vec<u8> = (0..count).map(|_| bytes.byte().max(1)).collect();
    CString::new(text).expect("no NUL")
}

pub(super) fn dial(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = world.address(bytes);
    let mut conn = null_mut();
    // SAFETY: texts that end, and an out parameter, here and below.
    let fd = checked(unsafe { vcp_dial(world.pool, NETWORK, address.as_ptr(), &mut conn) });
    returned(world, fd, conn);
}

pub(super) fn dial_with(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = address(world, bytes);
    let options = dial_options(world, bytes);
    let (pool, text, mut conn) = (world.pool, address.as_ptr(), null_mut());
    let fd = unsafe { vcp_dial_with(pool, NETWORK, text, &options, &mut conn) };
    returned(world, checked(fd), conn);
}

fn returned(world: &mut World, fd: i64, conn: *mut vconnpool::ffi::handles::vcp_conn) {
    assert_eq!(fd < 0, conn.is_null(), "{fd}");
    if fd >= 0 {
        world.borrowed(fd, conn);
    }
}

pub(super) fn dial_async(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = address(world, bytes);
    let mut options = dial_options(world, bytes);
    options.flags |= bytes.pick(&[0, 4]);
    let (pool, text, mut conn) = (world.pool, address.as_ptr(), null_mut());
    let (queue, token): (_, *mut c_void) = (world.queue, null_mut());
    world.works_alone = false;
    let fd = unsafe { vcp_dial_async(pool, NETWORK, text, &options, queue, token, &mut conn) };
    let fd = checked(fd);
    // 0 without a connection: the answer comes through the queue.
    if fd != 0 || !conn.is_null() {
        returned(world, fd, conn);
    }
}

pub(super) fn fetch(world: &mut World, bytes: &mut Bytes<'_>) {
    // SAFETY: plain data.
    let mut completion: vcp_completion = unsafe { zeroed() };
    let size = size_of::<vcp_completion>();
    // SAFETY: of the size that is passed.
    if checked(unsafe { vcp_queue_next(world.queue, &mut completion, size) }) != 1 {
        return;
    }
    let (fd, conn) = (checked(completion.status), completion.conn);
    if fd >= 0 && bytes.flag() {
        checked(vcp_conn_close(conn));
        world.bury(conn);
    } else {
        returned(world, fd, conn);
    }
}

pub(super) fn warm(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = world.address(bytes);
    let options = dial_options(world, bytes);
    let count = u32::from(bytes.byte() % 4);
    checked(unsafe { vcp_pool_warm(world.pool, NETWORK, address.as_ptr(), &options, count) });
    for server in &mut world.servers {
        server.accept();
    }
}
