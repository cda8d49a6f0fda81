//! This thread's last failure.

use std::ffi::{c_char, c_int, CStr};

use crate::ffi::basics::status::{description, vcp_status};
use crate::sys::memory;
use crate::sys::thread::cell::{borrow, borrow_or_fill, ThreadCell};
use crate::values::error::{one_line, Error, Phase};

/// The message stays in one buffer that only grows, so that a pointer to the last but one message,
/// as it arises from `printf("%d %s", vcp_dial(...), vcp_last_error())`, is stale text and not
/// freed memory.
struct LastError {
    message: Vec<u8>,
    /// Told in the place of a message for which there is no memory.
    instead: Option<&'static CStr>,
    number: i32,
    phase: Phase,
}

/// Longer than nearly every message.
const USUAL_LENGTH: usize = 1024;

thread_local! {
    static LAST: ThreadCell<LastError> = const { ThreadCell::new() };
}

impl LastError {
    const NONE: Self = Self {
        message: Vec::new(),
        instead: None,
        number: 0,
        phase: Phase::None,
    };

    fn set_message(&mut self, message: &str, instead: &'static CStr) {
        let line = one_line(message);
        let length = line.len() + 1;
        self.message.clear();
        if !memory::try_reserve(&mut self.message, length.max(USUAL_LENGTH)) {
            self.instead = Some(instead);
            return;
        }
        self.message.extend_from_slice(line.as_bytes());
        self.message.push(0);
        self.instead = None;
    }

    fn text(&self) -> *const c_char {
        match self.instead {
            Some(text) => text.as_ptr(),
            None => self.message.as_ptr().cast(),
        }
    }
}

/// Remembers a failure as this thread's last one.
pub(crate) fn remember(error: Error) -> vcp_status {
    let status = error.status as vcp_status;
    remember_text(status, &error.message, error.number, error.phase);
    status
}

/// As `remember`, of code that the library does not know.
pub(crate) fn remember_text(status: vcp_status, message: &str, number: i32, phase: Phase) {
    // Without a place for it, where there is no memory, only the status is told.
    if let Some(mut last) = borrow_or_fill(&LAST, LastError::NONE) {
        last.set_message(message, description(status));
        last.number = number;
        last.phase = phase;
    }
}

fn from_last<T>(missing: T, read: impl FnOnce(&LastError) -> T) -> T {
    borrow(&LAST).map_or(missing, |last| read(&last))
}

/// START HERE. The message of this thread's last failed call, on one line: what was asked for, and
/// why it failed, as "dial tcp db.local:5432: 10.0.0.5:5432: connection refused; [fd00::5]:5432:
/// network is unreachable". "" before the first failure, never NULL. The text is valid until this
/// thread's next failing call.
///
/// Threads: the answer is the calling thread's own.
#[no_mangle]
pub extern "C" fn vcp_last_error() -> *const c_char {
    from_last(c"".as_ptr(), LastError::text)
}

/// The number behind this thread's last failed call. It is the EAI_* value for VCP_ERR_RESOLVE, the
/// callback's number for VCP_ERR_CALLBACK, else an errno; 0 where there is none, as for
/// VCP_ERR_TIMEOUT.
///
/// Threads: the answer is the calling thread's own.
#[no_mangle]
pub extern "C" fn vcp_last_errno() -> c_int {
    from_last(0, |last| last.number)
}

/// What this thread's last failed call was doing when its deadline passed: a vcp_phase, and
/// VCP_PHASE_NONE if it was no timeout.
///
/// Threads: the answer is the calling thread's own.
#[no_mangle]
pub extern "C" fn vcp_last_phase() -> i32 {
    from_last(Phase::None, |last| last.phase) as i32
}
