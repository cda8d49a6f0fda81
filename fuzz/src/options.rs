//! Structs of options of every size and content: each is taken or refused, nothing beyond its size
//! is read or written (AddressSanitizer sees that), and what was refused has changed nothing.

use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::null_mut;

use vconnpool::ffi::callback_types::vcp_session;
use vconnpool::ffi::dial::blocking::vcp_dial_with;
use vconnpool::ffi::dial::options::{vcp_dial_options, vcp_dial_options_init};
use vconnpool::ffi::handles::vcp_pool;
use vconnpool::ffi::pool::exchange::vcp_pool_put_session;
use vconnpool::ffi::pool::lifecycle::{vcp_pool_close, vcp_pool_new};
use vconnpool::ffi::pool::options::{vcp_pool_options, vcp_pool_options_init};
use vconnpool::ffi::pool::set_limits::vcp_pool_set_limits;
use vconnpool::ffi::pool::stats::{vcp_pool_stats, vcp_stats};
use vconnpool::ffi::session::vcp_session_init;

use crate::bytes::Bytes;
use crate::leaks;
use crate::status::{checked, refused};

/// Larger than every struct of this version.
const MOST: usize = 1024;
const TEXTS: [*const c_char; 3] = [std::ptr::null(), c"".as_ptr(), c"127.0.0.1:1".as_ptr()];

unsafe extern "C" fn refuses(_: *mut c_void) -> i32 {
    -1
}

unsafe extern "C" fn frees(_: *mut c_void) {}

/// Memory of exactly so many bytes, aligned as a C struct, so that a read or write beyond them is
/// seen.
struct Struct {
    words: *mut u64,
    size: usize,
}

impl Struct {
    fn new(size: usize) -> Self {
        // SAFETY: more than zero bytes.
        let words = unsafe { libc::calloc(1, size.max(size_of::<usize>())) };
        let words = words.cast();
        Self { words, size }
    }

    fn at<T>(&self) -> *mut T {
        self.words.cast()
    }

    /// Changes some bytes to what the fuzzer says.
    fn scribble(&self, bytes: &mut Bytes<'_>) {
        let changes = bytes.byte() % 8;
        for _ in 0..changes {
            let at = usize::from(bytes.byte()) | usize::from(bytes.byte() & 3) << 8;
            let value = bytes.byte();
            if (size_of::<usize>()..self.size).contains(&at) {
                // SAFETY: inside.
                unsafe { self.at::<u8>().add(at).write(value) };
            }
        }
    }

    /// Writes a pointer, if the struct reaches that far: pointers must be ones.
    fn point(&self, at: usize, to: *const c_void) {
        if at + size_of::<usize>() <= self.size {
            // SAFETY: inside, and aligned as every field that is a pointer.
            unsafe { self.at::<u8>().add(at).cast::<*const c_void>().write(to) };
        } else if at < self.size {
            // SAFETY: inside. Half a pointer stays NULL.
            unsafe { self.at::<u8>().add(at).write_bytes(0, self.size - at) };
        }
    }
}

impl Drop for Struct {
    fn drop(&mut self) {
        // SAFETY: from calloc.
        unsafe { libc::free(self.words.cast()) };
    }
}

/// A struct of that size, initialised if the library takes the size, changed here and there.
fn made(bytes: &mut Bytes<'_>, whole: usize, init: impl FnOnce(&Struct) -> i32) -> Struct {
    let near = whole + 8 - usize::from(bytes.byte() % 17);
    let any = usize::from(bytes.byte());
    let size = bytes.pick(&[whole, near, any, whole + 64, MOST]);
    let made = Struct::new(size);
    if size >= size_of::<usize>() && bytes.byte() % 8 != 0 {
        checked(init(&made));
    }
    made.scribble(bytes);
    // SAFETY: there is room for a size always.
    unsafe {
        made.at::<usize>()
            .write(if bytes.byte() % 8 == 0 { 0 } else { size })
    };
    made
}

fn pool_options(bytes: &mut Bytes<'_>) -> Struct {
    let made = made(bytes, size_of::<vcp_pool_options>(), |made| unsafe {
        vcp_pool_options_init(made.at(), made.size)
    });
    let text = bytes.pick(&TEXTS).cast();
    made.point(offset_of!(vcp_pool_options, local_address), text);
    made.point(
        offset_of!(vcp_pool_options, name),
        bytes.pick(&TEXTS).cast(),
    );
    let callbacks = [
        offset_of!(vcp_pool_options, rewrite),
        offset_of!(vcp_pool_options, resolve),
        offset_of!(vcp_pool_options, dial),
        offset_of!(vcp_pool_options, control),
        offset_of!(vcp_pool_options, on_open),
        offset_of!(vcp_pool_options, on_reuse),
        offset_of!(vcp_pool_options, on_release),
        offset_of!(vcp_pool_options, on_event),
        offset_of!(vcp_pool_options, open_session),
        offset_of!(vcp_pool_options, on_idle),
    ];
    // None is called: nothing is dialed here that gets that far.
    for at in callbacks {
        let is_set = bytes.byte() % 8 == 1;
        made.point(
            at,
            if is_set {
                refuses as *const c_void
            } else {
                null_mut()
            },
        );
    }
    let is_set = bytes.flag();
    let free_user = if is_set {
        frees as *const c_void
    } else {
        null_mut()
    };
    made.point(offset_of!(vcp_pool_options, free_user), free_user);
    made
}

fn dial_options(bytes: &mut Bytes<'_>) -> Struct {
    let made = made(bytes, size_of::<vcp_dial_options>(), |made| unsafe {
        vcp_dial_options_init(made.at(), made.size)
    });
    // Any number may be passed as a token.
    made.point(
        offset_of!(vcp_dial_options, cancel),
        bytes.word() as *const c_void,
    );
    let tag = bytes.pick(&TEXTS).cast();
    made.point(offset_of!(vcp_dial_options, reuse_tag), tag);
    made.point(
        offset_of!(vcp_dial_options, label),
        bytes.pick(&TEXTS).cast(),
    );
    made
}

fn session(bytes: &mut Bytes<'_>) -> Struct {
    let made = made(bytes, size_of::<vcp_session>(), |made| unsafe {
        vcp_session_init(made.at(), made.size)
    });
    let data = bytes.pick(&[null_mut(), 8 as *mut c_void]);
    made.point(offset_of!(vcp_session, data), data);
    let free_data = bytes.pick(&[null_mut(), frees as *mut c_void]);
    made.point(offset_of!(vcp_session, free_data), free_data);
    let fd = bytes.pick(&[null_mut(), refuses as *mut c_void]);
    made.point(offset_of!(vcp_session, fd), fd);
    made
}

fn statistics(pool: *mut vcp_pool, bytes: &mut Bytes<'_>) {
    let size = usize::from(bytes.byte()) * 2;
    let stats = Struct::new(size);
    // SAFETY: so many bytes may be written.
    let result = unsafe { vcp_pool_stats(pool, stats.at::<vcp_stats>(), size) };
    if checked(result) == 0 {
        // SAFETY: what was taken has room for a size.
        assert_eq!(unsafe { stats.at::<usize>().read() }, size);
    }
}

pub fn run(data: &[u8]) {
    let bytes = &mut Bytes::new(data);
    let options = pool_options(bytes);
    let mut pool: *mut vcp_pool = null_mut();
    // SAFETY: the struct is as long as it says, and its pointers are ones, here and below.
    unsafe {
        if checked(vcp_pool_new(options.at(), &mut pool)) != 0 {
            assert!(pool.is_null(), "written though it failed");
            checked(vcp_pool_new(std::ptr::null(), &mut pool));
        }
        checked(vcp_pool_set_limits(pool, pool_options(bytes).at()));
        refused(vcp_pool_set_limits(pool, std::ptr::null()));
        let mut conn = 8 as *mut _;
        let (network, address) = (c"unix".as_ptr(), c"".as_ptr());
        let dialed = vcp_dial_with(pool, network, address, dial_options(bytes).at(), &mut conn);
        assert!(checked(dialed) < 0 && conn.is_null());
        let (network, address) = (c"tcp".as_ptr(), c"127.0.0.1:1".as_ptr());
        let put = session(bytes);
        checked(vcp_pool_put_session(
            pool,
            put.at(),
            network,
            address,
            std::ptr::null(),
        ));
        statistics(pool, bytes);
        checked(vcp_pool_close(pool));
    }
    leaks::check();
}
