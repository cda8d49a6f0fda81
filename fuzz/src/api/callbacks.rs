//! Callbacks of the pools: each refuses now and then. Some run on the library's threads.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::Mutex;

use vconnpool::ffi::callback_types::{vcp_event, vcp_session, vcp_session_request};
use vconnpool::ffi::handles::vcp_conn;
use vconnpool::ffi::pool::options::vcp_pool_options;

use crate::bytes::Bytes;

/// Every so manieth call refuses.
static REFUSES: AtomicU32 = AtomicU32::new(u32::MAX);
static CALLS: AtomicU32 = AtomicU32::new(1);
/// Sessions that live, each to be freed once.
static SESSIONS: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

fn verdict() -> i32 {
    let calls = CALLS.fetch_add(1, SeqCst);
    i32::from(calls % REFUSES.load(SeqCst) == 0)
}

unsafe extern "C" fn hook(_: *mut c_void, _: *mut vcp_conn, _: i32) -> i32 {
    verdict()
}

unsafe extern "C" fn observer(_: *mut c_void, _: *const vcp_event) {}

unsafe extern "C" fn control(_: *mut c_void, _: *const c_char, _: *const c_char, _: i32) -> i32 {
    verdict()
}

/// One end of a pair of sockets; the other is kept open.
pub(super) struct Session {
    own: UnixStream,
    _peer: UnixStream,
}

pub(super) fn is_session(data: *mut c_void) -> bool {
    SESSIONS
        .lock()
        .expect("no panic")
        .contains(&(data as usize))
}

pub(super) unsafe extern "C" fn free_session(data: *mut c_void) {
    let was_alive = SESSIONS.lock().expect("no panic").remove(&(data as usize));
    assert!(was_alive, "freed twice");
    // SAFETY: from `new_session`, and freed once.
    drop(unsafe { Box::from_raw(data.cast::<Session>()) });
}

unsafe extern "C" fn fd_of_session(data: *mut c_void) -> i32 {
    use std::os::fd::AsRawFd;
    // SAFETY: the library asks about sessions that live.
    unsafe { (*data.cast::<Session>()).own.as_raw_fd() }
}

/// Fills a session in; with a descriptor if `tells`.
pub(super) fn new_session(session: &mut vcp_session, tells: bool) {
    let (own, peer) = UnixStream::pair().expect("there are descriptors");
    session.data = Box::into_raw(Box::new(Session { own, _peer: peer })).cast();
    let is_new = SESSIONS
        .lock()
        .expect("no panic")
        .insert(session.data as usize);
    assert!(is_new);
    session.free_data = Some(free_session);
    session.fd = if tells { Some(fd_of_session) } else { None };
}

unsafe extern "C" fn open_session(
    _: *mut c_void,
    _: *const vcp_session_request,
    session: *mut vcp_session,
) -> i32 {
    if verdict() != 0 {
        return 1;
    }
    // SAFETY: the library passes one that is initialised.
    new_session(unsafe { &mut *session }, true);
    0
}

unsafe extern "C" fn dial(_: *mut c_void, _: *const c_char, _: *const c_char, _: i64) -> i32 {
    if verdict() != 0 {
        return -1;
    }
    let (own, _) = UnixStream::pair().expect("there are descriptors");
    own.into_raw_fd()
}

/// User data of a connection, freed by the library.
pub(super) unsafe extern "C" fn free_data(data: *mut c_void) {
    // SAFETY: a box of the caller's.
    drop(unsafe { Box::from_raw(data.cast::<u64>()) });
}

/// Sets callbacks as the fuzzer says.
pub(super) fn choose(options: &mut vcp_pool_options, bytes: &mut Bytes<'_>) {
    let chosen = bytes.byte();
    let has = |bit: u8| chosen >> bit & 1 == 1;
    REFUSES.store(bytes.pick(&[255, 2, 3, 5]), SeqCst);
    options.user = null_mut();
    options.on_open = has(0).then_some(hook);
    options.on_reuse = has(1).then_some(hook);
    options.on_release = has(2).then_some(hook);
    options.on_idle = has(3).then_some(hook);
    options.on_event = has(4).then_some(observer);
    options.control = has(5).then_some(control);
    options.dial = (has(6) && has(7)).then_some(dial);
    options.open_session = (has(6) && !has(7)).then_some(open_session);
    options.on_release_in_background = i32::from(has(2) && has(7));
}
