//! The library's own threads, and the two things about a caller's thread that the library must
//! know.

mod at_exit;
pub(crate) mod cell;
mod spawn;

use std::mem::MaybeUninit;

pub(crate) use self::spawn::{spawn, JoinHandle};

extern "C" {
    // pthread_setcancelstate(3); not in the libc crate.
    fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
}

const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;

/// While it lives, no signal handler runs on this thread.
pub(crate) struct SignalsBlocked {
    before: libc::sigset_t,
}

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: both sets are out parameters, and zeroes are a valid set.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Self {
                before: before.assume_init(),
            }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: puts back what `new` found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// While it lives, pthread_cancel(3) on this thread waits: a blocking call inside the library is no
/// cancellation point, because unwinding by cancellation through Rust frames is undefined.
#[derive(Debug)]
pub(crate) struct CancellationDeferred(libc::c_int);

impl CancellationDeferred {
    pub(crate) fn new() -> Self {
        let mut before = 0;
        // SAFETY: an out parameter of the right type.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
        Self(before)
    }
}

impl Drop for CancellationDeferred {
    fn drop(&mut self) {
        // SAFETY: puts back the state that `new` found.
        unsafe { pthread_setcancelstate(self.0, std::ptr::null_mut()) };
    }
}
