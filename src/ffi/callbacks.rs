//! What callbacks call, and what this thread knows of those that it runs.

use std::cell::Cell;
use std::ffi::{c_char, c_int, CStr};

use super::arguments::text;
use super::basics::error::remember_text;
use super::basics::status::is_failure;
use super::guard::{guard, refuse_if_short};
use super::handles::{vcp_resolved, ResolvedHandle};
use crate::handle::Kept;
use crate::pool::runtime::runtime;
use crate::sys::fork;
use crate::sys::thread::cell::{borrow_or_fill, ThreadCell};
use crate::values::error::{Error, Phase, Status};
use crate::values::host_port;

/// ---- FAILURES OF CODE ON TOP OF THE LIBRARY ----
///
/// ----
///
/// Tells a failure as the library does, for code on top of it, as an adapter is: from then on
/// vcp_last_error() returns the text (its first 1,000 bytes; what is no UTF-8 is replaced), and
/// vcp_last_errno() and vcp_last_phase() tell of none. Returns status, to be passed on:
///
///     return vcp_set_last_error(VCP_ERR_INVALID_ARGUMENT, "options->user must be unset");
///
/// Threads: the failure is told to the calling thread alone.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT, with a message of its own, if status is no VCP_ERR_* or text
/// is NULL.
#[no_mangle]
pub unsafe extern "C" fn vcp_set_last_error(status: c_int, text: *const c_char) -> c_int {
    const LONGEST: usize = 1000;
    guard(|| {
        if text.is_null() || !is_failure(status) {
            return Err(Error::invalid_argument(format!(
                "vcp_set_last_error: {status} is no failure, or its text is NULL"
            )));
        }
        // SAFETY: not NULL, and terminated by the program's promise.
        let text = unsafe { CStr::from_ptr(text) }.to_bytes();
        // Owned: it may be what vcp_last_error() returned.
        let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned();
        remember_text(status, &text, 0, Phase::None);
        Ok(status)
    })
}

/// ---- INSIDE CALLBACKS ----
///
/// ----
///
/// Adds one address, inside a resolve callback: a literal IP such as "10.0.0.1" or "fe80::1%eth0".
///
/// Example:
///
///     int resolve(void *user, const char *network, const char *host, int64_t timeout_ms,
///                 vcp_resolved *out)
///     {
///         (void)user, (void)network, (void)timeout_ms;
///         return strcmp(host, "db.local") == 0 ? vcp_resolved_add(out, "10.0.0.5") : -1;
///     }
///
/// Threads: any, until the callback returns.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if ip is NULL; VCP_ERR_INVALID_ADDRESS if it is no literal IP;
/// VCP_ERR_INVALID_HANDLE if the callback has returned; VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_resolved_add(out: *mut vcp_resolved, ip: *const c_char) -> c_int {
    guard(|| {
        let resolved = ResolvedHandle::table().pin(out as usize).map_err(|_| {
            Error::new(
                Status::InvalidHandle,
                "vcp_resolved_add: not inside a resolve callback",
            )
        })?;
        // SAFETY: the program's promise.
        let text = unsafe { text::required(ip, "ip", Status::InvalidAddress) }?;
        let address = host_port::parse_ip(text, &runtime().names)
            .map_err(|error| error.of(format_args!("vcp_resolved_add {text}")))?;
        refuse_if_short()?;
        resolved.0.add(address);
        Ok(0)
    })
}

/// Says why a callback refuses, inside that callback. The text, of at most 1,024 bytes, joins the
/// message of the dial that fails by it, asynchronous dials included. It is dropped where no dial
/// fails by the refusal: that of on_reuse, on_release or on_idle.
///
/// Threads: the one that runs the callback.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if text is NULL, too long or no UTF-8, and outside of a
/// callback that may refuse, which on_event is not; VCP_ERR_NO_MEMORY, and the refusal is told
/// without it.
#[no_mangle]
pub unsafe extern "C" fn vcp_set_callback_error(text: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the program's promise.
        let text = unsafe { text::required(text, "text", Status::InvalidArgument) }?;
        refuse_if_short()?;
        let is_heard = with_running(|running| match running.last_mut() {
            Some(RunningCallback::MayRefuse(said)) => {
                *said = Some(text.to_owned());
                true
            }
            Some(RunningCallback::IsTold) | None => false,
        });
        match is_heard {
            Some(true) => Ok(0),
            Some(false) if WITHOUT_PLACE.get() == 0 => {
                let message = "vcp_set_callback_error: not inside a callback";
                Err(Error::invalid_argument(message))
            }
            _ => Err(Error::no_memory()),
        }
    })
}

/// A callback that runs on this thread.
enum RunningCallback {
    /// What it has said of its refusal.
    MayRefuse(Option<String>),
    /// on_event. It may run inside one that may refuse, for which it does not speak.
    IsTold,
}

thread_local! {
    /// The innermost last.
    static RUNNING: ThreadCell<Vec<RunningCallback>> = const { ThreadCell::new() };
    /// Callbacks that may refuse, run on this thread, and found no place in `RUNNING`.
    static WITHOUT_PLACE: Cell<usize> = const { Cell::new(0) };
}

/// `None`: there is no place for it, because there is no memory. Then a refusal is told without its
/// text.
fn with_running<T>(change: impl FnOnce(&mut Vec<RunningCallback>) -> T) -> Option<T> {
    let mut running = borrow_or_fill(&RUNNING, Vec::new())?;
    Some(change(&mut running))
}

/// Runs on_event.
pub(crate) fn run_on_event(on_event: impl FnOnce()) {
    let has_place = with_running(|running| running.push(RunningCallback::IsTold)).is_some();
    on_event();
    if has_place {
        with_running(Vec::pop);
    }
}

/// Runs a callback; returns its number and what it said.
pub(crate) fn run_callback(callback: impl FnOnce() -> c_int) -> (c_int, Option<String>) {
    let place = with_running(|running| running.push(RunningCallback::MayRefuse(None)));
    let own = fork::epoch();
    let (number, said) = match place {
        Some(()) => (callback(), what_it_said()),
        None => (run_without_place(callback), None),
    };
    if fork::enter_if_forked(own) {
        // The callback has forked, and the child came back here: what called it belongs to the
        // parent.
        return (-1, Some("the process was forked inside it".to_owned()));
    }
    (number, said)
}

fn what_it_said() -> Option<String> {
    match with_running(Vec::pop).flatten()? {
        RunningCallback::MayRefuse(said) => said,
        RunningCallback::IsTold => None,
    }
}

fn run_without_place(callback: impl FnOnce() -> c_int) -> c_int {
    WITHOUT_PLACE.set(WITHOUT_PLACE.get() + 1);
    let number = callback();
    WITHOUT_PLACE.set(WITHOUT_PLACE.get() - 1);
    number
}

pub(crate) fn refused(what: &str, (number, said): (c_int, Option<String>)) -> Error {
    let text = said.map(|said| format!(": {said}")).unwrap_or_default();
    Error::new(
        Status::Callback,
        format!("{what} callback refused: {number}{text}"),
    )
    .numbered(number)
}
