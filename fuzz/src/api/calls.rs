//! The calls by their numbers.

use std::ffi::{c_char, c_void};
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};

use vconnpool::ffi::basics::status::VCP_ERR_CONN_CLOSED;
use vconnpool::ffi::callback_types::vcp_session;
use vconnpool::ffi::cancel::{vcp_cancel_fire, vcp_cancel_free, vcp_cancel_new};
use vconnpool::ffi::conn::addresses::{vcp_conn_address, vcp_conn_remote_address};
use vconnpool::ffi::conn::borrow::*;
use vconnpool::ffi::conn::data::{vcp_conn_data, vcp_conn_set_data};
use vconnpool::ffi::conn::deadlines::{vcp_conn_set_cancel, vcp_conn_set_deadline};
use vconnpool::ffi::conn::io::*;
use vconnpool::ffi::handles::{vcp_cancel, vcp_conn, vcp_pool, vcp_queue};
use vconnpool::ffi::pool::contents::*;
use vconnpool::ffi::pool::describe::vcp_pool_describe;
use vconnpool::ffi::pool::exchange::*;
use vconnpool::ffi::pool::lifecycle::{vcp_pool_abort, vcp_pool_close, vcp_pool_drain};
use vconnpool::ffi::pool::set_limits::vcp_pool_set_limits;
use vconnpool::ffi::queue::{vcp_queue_fd, vcp_queue_free, vcp_queue_new};
use vconnpool::ffi::session::vcp_session_init;

use super::world::{pool_options, World, NETWORK};
use super::{callbacks, dials};
use crate::bytes::Bytes;
use crate::status::checked;

pub(super) fn make(world: &mut World, call: u8, bytes: &mut Bytes<'_>) {
    match call % 32 {
        0..=3 => dials::dial(world, bytes),
        4..=6 => dials::dial_with(world, bytes),
        7 | 8 => dials::dial_async(world, bytes),
        9 => dials::fetch(world, bytes),
        10 => dials::warm(world, bytes),
        11..=14 => give_back(world, bytes),
        15 => discard(world, bytes),
        16 => detach(world, bytes),
        17 | 18 => transfer(world, bytes),
        19 => set(world, bytes),
        20 => put(world, bytes),
        21 => put_session(world, bytes),
        22 => get(world, bytes),
        23 => evict(world, bytes),
        24 => set_limits(world, bytes),
        25 => look(world, bytes),
        26 | 27 => peer(world, bytes),
        28 => renew(world, bytes),
        29 => reopen(world, bytes),
        30 => dead_handle(world, bytes),
        _ => garbage(bytes),
    }
}

fn chosen(world: &World, bytes: &mut Bytes<'_>) -> Option<usize> {
    bytes.index(world.conns.len())
}

fn give_back(world: &mut World, bytes: &mut Bytes<'_>) {
    if let Some(at) = chosen(world, bytes) {
        world.give_back(at);
    }
}

fn discard(world: &mut World, bytes: &mut Bytes<'_>) {
    if let Some(at) = chosen(world, bytes) {
        assert_eq!(checked(vcp_conn_discard(world.conns[at].conn)), 0);
    }
}

fn detach(world: &mut World, bytes: &mut Bytes<'_>) {
    let Some(at) = chosen(world, bytes) else {
        return;
    };
    let one = world.conns[at];
    let data = vcp_conn_data(one.conn);
    let is_session = callbacks::is_session(data);
    let fd = checked(vcp_conn_detach(one.conn));
    if fd < 0 {
        return;
    }
    world.conns.remove(at);
    world.bury(one.conn);
    // SAFETY: all of it is the program's own by now.
    unsafe {
        if is_session {
            callbacks::free_session(data);
            return;
        }
        if !data.is_null() {
            callbacks::free_data(data);
        }
        libc::close(fd as i32);
    }
}

fn transfer(world: &mut World, bytes: &mut Bytes<'_>) {
    let Some(at) = chosen(world, bytes) else {
        return;
    };
    let conn = world.conns[at].conn;
    let mut buffer = [0u8; 64];
    let to: *mut c_void = buffer.as_mut_ptr().cast();
    let size = usize::from(bytes.byte() % 64);
    checked(vcp_conn_set_deadline(conn, bytes.pick(&[0, 1])));
    // SAFETY: the buffer has 64 bytes.
    let result = unsafe {
        match bytes.byte() % 8 {
            0 => vcp_conn_read(conn, to, size),
            1 => vcp_conn_read_full(conn, to, size),
            2 | 3 => vcp_conn_write(conn, to, size),
            4 => vcp_conn_try_read(conn, to, size),
            5 => vcp_conn_try_write(conn, to, size),
            6 => vcp_conn_wait(conn, bytes.pick(&[1, 2, 3, 4])).into(),
            _ => vcp_conn_shutdown(conn, bytes.pick(&[0, 1, 2, 3])).into(),
        }
    };
    assert!(checked(result) <= 64);
}

fn set(world: &mut World, bytes: &mut Bytes<'_>) {
    let Some(at) = chosen(world, bytes) else {
        return;
    };
    let conn = world.conns[at].conn;
    match bytes.byte() % 5 {
        0 => drop(checked(vcp_conn_set_liveness(
            conn,
            bytes.pick(&[0, 1, 2, 3]),
        ))),
        1 => drop(checked(vcp_conn_set_cancel(
            conn,
            bytes.pick(&[null_mut(), world.token]),
        ))),
        2 => drop(checked(vcp_conn_report(
            conn,
            bytes.pick(&[-1, 0, 5]),
            bytes.pick(&[0, 11, 104]),
        ))),
        3 => set_data(conn),
        _ => drop(checked(vcp_conn_set_deadline(
            conn,
            bytes.pick(&[-1, 0, 1, -5]),
        ))),
    }
}

fn set_data(conn: *mut vcp_conn) {
    let data: *mut c_void = Box::into_raw(Box::new(7u64)).cast();
    // SAFETY: the two belong together.
    let result = unsafe { vcp_conn_set_data(conn, data, Some(callbacks::free_data)) };
    if checked(result) != 0 {
        // SAFETY: not taken.
        unsafe { callbacks::free_data(data) };
    }
}

fn put(world: &mut World, bytes: &mut Bytes<'_>) {
    let fd = match bytes.byte() % 4 {
        3 => -1,
        which => world.servers[usize::from(which % 2)].connect(),
    };
    let address = world.address(bytes);
    // SAFETY: a text that ends.
    let result = if bytes.flag() {
        vcp_pool_add(world.pool, fd)
    } else {
        unsafe { vcp_pool_put(world.pool, fd, NETWORK, address.as_ptr(), null()) }
    };
    if checked(result) < 0 && fd >= 0 {
        // SAFETY: the program's as before.
        unsafe { libc::close(fd) };
    }
}

fn put_session(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = world.address(bytes);
    // SAFETY: plain data, filled by the library.
    unsafe {
        let mut session: vcp_session = zeroed();
        checked(vcp_session_init(&mut session, size_of::<vcp_session>()));
        callbacks::new_session(&mut session, bytes.flag());
        session.liveness = bytes.pick(&[-1, 0, 2, 9]);
        let put = vcp_pool_put_session(world.pool, &session, NETWORK, address.as_ptr(), null());
        if checked(put) < 0 {
            callbacks::free_session(session.data);
        }
    }
}

fn get(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = world.address(bytes);
    // SAFETY: a text that ends.
    let fd = checked(unsafe { vcp_pool_get(world.pool, NETWORK, address.as_ptr(), null()) });
    if fd >= 0 {
        assert!(
            world.conns.iter().all(|one| i64::from(one.fd) != fd),
            "borrowed, and given away"
        );
        // SAFETY: the program's own by now.
        unsafe { libc::close(fd as i32) };
    }
}

fn evict(world: &mut World, bytes: &mut Bytes<'_>) {
    let address = world.address(bytes);
    let pool = world.pool;
    // SAFETY: texts that end.
    unsafe {
        match bytes.byte() % 6 {
            0 => drop(checked(vcp_pool_evict(pool, NETWORK, address.as_ptr()))),
            1 => drop(checked(vcp_pool_evict(pool, null(), null()))),
            2 | 3 => drop(checked(vcp_pool_close_idle(pool))),
            4 => drop(checked(vcp_pool_drain(pool, 0))),
            _ => drop(checked(vcp_pool_abort(pool))),
        }
    }
}

fn set_limits(world: &mut World, bytes: &mut Bytes<'_>) {
    let options = pool_options(bytes);
    // SAFETY: a whole struct.
    if checked(unsafe { vcp_pool_set_limits(world.pool, &options) }) != 0 {
        return;
    }
    world.works_alone &= options.min_idle_per_address == 0;
    // What is out above a lowered limit comes back first.
    let limit = i64::from(options.max_conns);
    let count = checked(vcp_pool_conn_count(world.pool));
    world.max_conns = if limit == 0 { 0 } else { limit.max(count) };
}

fn look(world: &mut World, bytes: &mut Bytes<'_>) {
    let mut buffer = [0 as c_char; 512];
    let size = usize::from(bytes.byte()) * 2;
    let (pool, format, address) = (
        world.pool,
        bytes.pick(&[0, 1, 2, 3, 4]),
        world.address(bytes),
    );
    // SAFETY: the buffer has 512 bytes; a text that ends.
    unsafe {
        checked(vcp_pool_describe(pool, format, buffer.as_mut_ptr(), size));
        checked(vcp_pool_idle_count(pool, NETWORK, address.as_ptr()));
    }
    world.statistics();
    let Some(at) = chosen(world, bytes) else {
        return;
    };
    let conn = world.conns[at].conn;
    checked(vcp_conn_is_reused(conn));
    checked(vcp_conn_uses(conn));
    checked(vcp_conn_idle_ms(conn));
    checked(vcp_conn_age_ms(conn));
    checked(vcp_conn_should_retry(conn));
    // SAFETY: as above.
    unsafe {
        checked(vcp_conn_address(conn, buffer.as_mut_ptr(), size));
        checked(vcp_conn_remote_address(conn, buffer.as_mut_ptr(), size));
    }
}

fn peer(world: &mut World, bytes: &mut Bytes<'_>) {
    let server = &mut world.servers[usize::from(bytes.flag())];
    server.act(bytes.byte(), usize::from(bytes.byte()));
}

/// The token fires or is another; the queue is another.
fn renew(world: &mut World, bytes: &mut Bytes<'_>) {
    // SAFETY: out parameters.
    unsafe {
        match bytes.byte() % 4 {
            0 => {
                checked(vcp_queue_free(world.queue));
                checked(vcp_queue_new(&mut world.queue));
            }
            1 => drop(checked(vcp_cancel_fire(world.token))),
            2 => drop(checked(vcp_queue_fd(world.queue))),
            _ => {
                checked(vcp_cancel_free(world.token));
                checked(vcp_cancel_new(&mut world.token));
            }
        }
    }
}

/// The pool is closed while connections of it are out.
fn reopen(world: &mut World, bytes: &mut Bytes<'_>) {
    checked(vcp_pool_close(world.pool));
    world.open_pool(bytes);
}

fn dead_handle(world: &mut World, bytes: &mut Bytes<'_>) {
    let Some(at) = bytes.index(world.stale.len()) else {
        return;
    };
    let conn = world.stale[at];
    let closed = i64::from(VCP_ERR_CONN_CLOSED);
    let mut byte = 0u8;
    let to: *mut c_void = (&raw mut byte).cast();
    // SAFETY: one byte.
    let result = unsafe {
        match bytes.byte() % 6 {
            0 => vcp_conn_close(conn).into(),
            1 => vcp_conn_discard(conn).into(),
            2 => vcp_conn_read(conn, to, 1),
            3 => vcp_conn_detach(conn).into(),
            4 => vcp_conn_set_deadline(conn, 0).into(),
            _ => vcp_conn_raw_fd(conn).into(),
        }
    };
    assert_eq!(checked(result), closed, "a dead handle leads to something");
}

/// Any number may be passed as a handle. (By chance it is a live one; so nothing is closed by it.)
fn garbage(bytes: &mut Bytes<'_>) {
    let number = bytes.word() as usize;
    let (pool, conn) = (number as *mut vcp_pool, number as *mut vcp_conn);
    checked(vcp_pool_conn_count(pool));
    checked(vcp_conn_uses(conn));
    checked(vcp_conn_raw_fd(conn));
    vcp_conn_data(conn);
    checked(vcp_queue_fd(number as *mut vcp_queue));
    checked(vcp_conn_set_cancel(conn, number as *mut vcp_cancel));
}
