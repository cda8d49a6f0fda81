//! This thread's last failure.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};

use crate::ffi::basics::status::vcp_status;
use crate::values::error::{one_line, Error, Phase};

/// The message stays in one buffer that only grows, so that a pointer to the last but one message,
/// as it arises from `printf("%d %s", vcp_dial(...), vcp_last_error())`, is stale text and not
/// freed memory.
struct LastError {
    message: Vec<u8>,
    number: i32,
    phase: Phase,
}

/// Longer than nearly every message.
const USUAL_LENGTH: usize = 1024;

thread_local! {
    static LAST: RefCell<Option<LastError>> = const { RefCell::new(None) };
}

/// Remembers a failure as this thread's last one.
pub(crate) fn remember(error: Error) -> vcp_status {
    remember_text(&error.message, error.number, error.phase);
    error.status as vcp_status
}

/// As `remember`, of code that the library does not know.
pub(crate) fn remember_text(message: &str, number: i32, phase: Phase) {
    // A thread that is ending may have lost the place already (a destructor of
    // pthread_key_create(3) calls us): then only the status is told.
    let _ = LAST.try_with(|place| {
        let mut place = place.borrow_mut();
        let last = place.get_or_insert_with(|| LastError {
            message: Vec::with_capacity(USUAL_LENGTH),
            number: 0,
            phase: Phase::None,
        });
        last.message.clear();
        last.message.extend_from_slice(one_line(message).as_bytes());
        last.message.push(0);
        last.number = number;
        last.phase = phase;
    });
}

fn from_last<T>(missing: T, read: impl FnOnce(&LastError) -> T) -> T {
    LAST.try_with(|place| place.borrow().as_ref().map(read))
        .ok()
        .flatten()
        .unwrap_or(missing)
}

/// START HERE. The message of this thread's last failed call, on one line: what was asked for, and
/// why it failed, as "dial tcp db.local:5432: 10.0.0.5:5432: connection refused; [fd00::5]:5432:
/// network is unreachable". "" before the first failure, never NULL. The text is valid until this
/// thread's next failing call.
#[no_mangle]
pub extern "C" fn vcp_last_error() -> *const c_char {
    from_last(c"".as_ptr(), |last| last.message.as_ptr().cast())
}

/// The number behind this thread's last failed call. It is the EAI_* value for VCP_ERR_RESOLVE, the
/// callback's number for VCP_ERR_CALLBACK, else an errno; 0 where there is none, as for
/// VCP_ERR_TIMEOUT.
#[no_mangle]
pub extern "C" fn vcp_last_errno() -> c_int {
    from_last(0, |last| last.number)
}

/// What this thread's last failed call was doing when its deadline passed: a vcp_phase, and
/// VCP_PHASE_NONE if it was no timeout.
#[no_mangle]
pub extern "C" fn vcp_last_phase() -> i32 {
    from_last(Phase::None, |last| last.phase) as i32
}
