//! The wall between Rust and C: no panic crosses it, and every failure becomes a status and this
//! thread's last error.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::ffi::basics::error::remember;
use crate::ffi::basics::status::vcp_status;
use crate::ffi::fork;
use crate::sys::thread::CancellationDeferred;
use crate::sys::{self, memory};
use crate::values::error::{Error, Result, Status};

/// What a C function returns: a status, or a count that is a status when it is negative.
pub(crate) trait CResult {
    fn failure(status: vcp_status) -> Self;
}

impl CResult for i32 {
    fn failure(status: vcp_status) -> Self {
        status
    }
}

impl CResult for i64 {
    fn failure(status: vcp_status) -> Self {
        status.into()
    }
}

/// Called before a function that makes something changes anything: it is refused while malloc(3)
/// fails, so that the reserve lasts for what has begun (`sys::memory`), and while there was no
/// memory to be told of forks.
pub(crate) fn refuse_if_short() -> Result<()> {
    if memory::is_short() || !sys::fork::is_prepared() {
        return Err(Error::no_memory());
    }
    Ok(())
}

/// As [`guard`], of a function that makes something.
pub(crate) fn guard_with_memory<T: CResult>(body: impl FnOnce() -> Result<T>) -> T {
    guard(|| {
        refuse_if_short()?;
        body()
    })
}

/// Runs a C function's body. A callback in it may have forked: in the child the call is another
/// process's, and fails. pthread_cancel(3) waits meanwhile: unwinding by it through Rust frames is
/// undefined.
pub(crate) fn guard<T: CResult>(body: impl FnOnce() -> Result<T>) -> T {
    let _deferred = CancellationDeferred::new();
    fork::enter();
    let before = sys::fork::epoch();
    // The state that a panicking body leaves behind is looked at again: locks do not poison (see
    // `sync`).
    let result = catch_unwind(AssertUnwindSafe(body));
    if sys::fork::enter_if_forked(before) {
        let error = Error::new(Status::Callback, "the process was forked inside a callback");
        return T::failure(remember(error));
    }
    let result = result.unwrap_or_else(|panic| Err(Error::of_panic(&*panic)));
    result.unwrap_or_else(|error| T::failure(remember(error)))
}
