//! Threads of the library's own, by pthread_create(3).
//!
//! std's threads allocate past the global allocator, and end the process where malloc(3) fails.

use std::any::Any;
use std::ffi::{c_void, CStr};
use std::io;
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Relaxed},
};

use super::SignalsBlocked;

type Body = Box<dyn FnOnce() + Send>;

/// What a new thread is given.
struct Start {
    name: &'static CStr,
    body: Body,
}

/// As many as the library has threads, and some more.
const MOST_RUNNING: usize = 256;

/// The starts of the threads that run, as far as there is room: nothing is done with them. A thread
/// may have the address of its own in a register alone. A child of fork(2), where the thread is
/// not, keeps the start, and a leak checker would find no pointer to it.
static RUNNING: [AtomicPtr<Start>; MOST_RUNNING] =
    [const { AtomicPtr::new(null_mut()) }; MOST_RUNNING];

/// Puts one address in the place of another.
fn replace_running(old: *mut Start, new: *mut Start) -> bool {
    let mut places = RUNNING.iter();
    places.any(|place| place.compare_exchange(old, new, AcqRel, Relaxed).is_ok())
}

/// A thread that is to be joined; it is detached where the value is dropped.
#[derive(Debug)]
pub(crate) struct JoinHandle(libc::pthread_t);

impl JoinHandle {
    pub(crate) fn is_this_thread(&self) -> bool {
        // SAFETY: both threads have not been joined: this one runs, and the other's handle is here.
        unsafe { libc::pthread_equal(self.0, libc::pthread_self()) != 0 }
    }

    /// Waits until it has ended.
    pub(crate) fn join(self) {
        let thread = self.0;
        std::mem::forget(self);
        // SAFETY: joined once, because the handle is gone, and never detached.
        unsafe { libc::pthread_join(thread, null_mut()) };
    }
}

impl Drop for JoinHandle {
    fn drop(&mut self) {
        // SAFETY: neither joined nor detached yet.
        unsafe { libc::pthread_detach(self.0) };
    }
}

/// Attributes of a thread, freed when they are dropped.
struct Attributes(libc::pthread_attr_t);

/// glibc takes the thread-locals of the program and of all libraries from a thread's stack: what a
/// thread needs beside its own.
fn least_stack(attributes: &libc::pthread_attr_t) -> usize {
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    // SAFETY: a text that ends in NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
    if found.is_null() {
        return libc::PTHREAD_STACK_MIN;
    }
    // SAFETY: glibc's function of that name (nptl/nptl-stack.c), which std calls likewise.
    unsafe { std::mem::transmute::<*mut c_void, MinStack>(found)(attributes) }
}

impl Attributes {
    /// With so much beside what every thread needs.
    fn with_stack(size: usize) -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: an out parameter, which the call initialises.
        let attributes = unsafe {
            result(libc::pthread_attr_init(attributes.as_mut_ptr()))?;
            attributes.assume_init()
        };
        let mut attributes = Self(attributes);
        let page = 4096;
        let size = (size + least_stack(&attributes.0)).next_multiple_of(page);
        // SAFETY: initialised above.
        result(unsafe { libc::pthread_attr_setstacksize(&mut attributes.0, size) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and destroyed once.
        unsafe { libc::pthread_attr_destroy(&mut self.0) };
    }
}

/// The functions of pthreads(7) return their error.
fn result(errno: i32) -> io::Result<()> {
    match errno {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

extern "C" fn run(start: *mut c_void) -> *mut c_void {
    let address = start.cast::<Start>();
    // SAFETY: `spawn` made it of a box, for this thread alone.
    let start = unsafe { Box::from_raw(address) };
    // SAFETY: a NUL-terminated text; the kernel copies its first 15 bytes (prctl(2)).
    unsafe { libc::prctl(libc::PR_SET_NAME, start.name.as_ptr()) };
    let ended: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(start.body));
    // A panic is a bug, which the panic hook has reported on stderr; what it carries is of no use.
    drop(ended);
    replace_running(address, null_mut());
    null_mut()
}

/// Starts a thread that blocks every signal: the program's handlers never run on it
/// (pthread_sigmask(3)). `name` is what ps(1) shows of it.
pub(crate) fn spawn(
    name: &'static CStr,
    stack_size: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle> {
    // A new thread inherits the mask of the one that makes it.
    let _blocked = SignalsBlocked::new();
    let attributes = Attributes::with_stack(stack_size)?;
    let body: Body = Box::new(body);
    let start = Box::into_raw(Box::new(Start { name, body }));
    replace_running(null_mut(), start);
    let mut thread = MaybeUninit::uninit();
    // SAFETY: `run` takes the box over; the other pointers are valid during the call.
    let created = result(unsafe {
        libc::pthread_create(thread.as_mut_ptr(), &attributes.0, run, start.cast())
    });
    match created {
        // SAFETY: the call has succeeded, so it has written the thread.
        Ok(()) => Ok(JoinHandle(unsafe { thread.assume_init() })),
        Err(error) => {
            replace_running(start, null_mut());
            // SAFETY: no thread was made that takes it.
            drop(unsafe { Box::from_raw(start) });
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, Mutex};

    #[test]
    fn a_thread_has_its_name_and_is_joined_after_a_panic_too() {
        let seen = Arc::new(Mutex::new(None));
        let shown = seen.clone();
        let thread = spawn(c"vcp-test", 256 << 10, move || {
            let mut name = [0u8; 16];
            // SAFETY: 16 bytes, as prctl(2) asks for.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            *shown.lock() = Some(name);
            std::panic::resume_unwind(Box::new(()));
        });
        let thread = thread.expect("a thread");
        assert!(!thread.is_this_thread());
        thread.join();
        let name = seen.lock().expect("it ran");
        assert_eq!(&name[..9], b"vcp-test\0");
    }

    #[test]
    fn a_start_is_known_until_it_is_taken_away() {
        let name = c"vcp-test";
        let body = Box::new(|| {});
        let mut start = Start { name, body };
        assert!(replace_running(null_mut(), &mut start));
        assert!(replace_running(&mut start, null_mut()));
        assert!(!replace_running(&mut start, null_mut()));
    }

    #[test]
    fn a_thread_that_cannot_be_made_loses_nothing() {
        let count = Arc::new(());
        let held = count.clone();
        let no_thread = spawn(c"vcp-test", 1 << 60, move || drop(held));
        assert!(no_thread.is_err());
        assert_eq!(Arc::strong_count(&count), 1);
    }
}
