//! What a dial must know of its caller.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

use crate::sync::Arc;
use crate::sys::wake::{CancelToken, Wake, Waker};
use crate::sys::{self, clock};
use crate::values::clock::Deadline;
use crate::values::error::{Error, Result, Status};

/// A dial's caller, whether it sleeps meanwhile or not.
pub(crate) trait DialCaller {
    /// Why the dial must end now, if it must.
    fn ended(&self) -> Option<Error>;
    /// Is woken when there is news of a lookup.
    fn shared_waker(&self) -> Arc<dyn Wake>;
    /// Names the borrower, for the driver that opens a session.
    fn label(&self) -> &str;
    /// A living connection of a pool has that descriptor.
    fn is_pooled(&self, number: RawFd) -> bool;
    /// Runs open_session by `open`, which nothing ends early. Fails if it must not begin.
    fn run_open_session(&self, open: &mut dyn FnMut()) -> Result<()> {
        open();
        Ok(())
    }
    /// A dial or open_session callback runs in this thread.
    fn dials_by_callback_here(&self) -> bool {
        true
    }
    /// A resolve callback may take its time in this thread.
    fn may_resolve_here(&self) -> bool {
        false
    }
    /// Closes an idle connection, because the process has no descriptor left. False if none was
    /// idle.
    fn make_room(&self) -> bool;
}

/// A caller that sleeps in poll(2) until its dial has ended.
pub(crate) trait BlockingCaller: DialCaller {
    /// Itself (a reference to this trait becomes one to that by itself from Rust 1.86 on).
    fn as_dial_caller(&self) -> &dyn DialCaller;
    /// Is woken when `ended` or `leaves` changes, and when there is news of a lookup.
    fn waker(&self) -> &Arc<Waker>;
    /// Ends the dial when it fires.
    fn token(&self) -> Option<&CancelToken>;
    /// It has got a connection from elsewhere.
    fn leaves(&self) -> bool;
}

/// The time left, as callbacks are told it: -1 without a deadline. Rounded up, so that one who
/// gives up when it is over does not give up before the deadline.
pub(crate) fn timeout_left(deadline: Deadline) -> i64 {
    match deadline.time() {
        None => -1,
        Some(time) => {
            let left = time.since(clock::now()).as_nanos().div_ceil(1_000_000);
            i64::try_from(left).unwrap_or(i64::MAX)
        }
    }
}

/// The system has refused a resource.
pub(crate) fn shortage(error: &io::Error) -> Error {
    let errno = sys::errno(error);
    Error::new(Status::System, sys::errno_text(errno)).numbered(errno)
}
