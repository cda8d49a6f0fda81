//! Sessions of drivers: `vcp_session`, and the open_session callback.

use std::ffi::{c_int, c_void};
use std::mem::size_of;

use super::arguments::sized_struct::{self, SizedStruct};
use super::arguments::text::c_text;
use super::basics::enums::liveness;
use super::callback_types::{vcp_session, vcp_session_request};
use super::callbacks::{refused, run_callback};
use super::guard::guard;
use crate::dial::callbacks::{Session, SessionRequest};
use crate::sys::foreign::{SessionFd, UserData};
use crate::sys::fork;
use crate::values::error::{Error, Result, Status};

/// In vcp_session.liveness: the pool's.
const AS_THE_POOL: i32 = -1;

const DEFAULTS: vcp_session = vcp_session {
    size: size_of::<vcp_session>(),
    data: std::ptr::null_mut(),
    free_data: None,
    fd: None,
    liveness: AS_THE_POOL,
};

// SAFETY: repr(C), size first, and pointers, nullable functions and integers are valid when zeroed.
unsafe impl SizedStruct for vcp_session {
    const NAME: &'static str = "vcp_session";
    const LEAST_SIZE: usize = size_of::<vcp_session>();
}

/// ---- SESSIONS THAT THE PROGRAM HAS OPENED ----
///
/// ----
///
/// Fills a session with the defaults, for vcp_pool_put_session. Pass sizeof *session as size.
/// (open_session is given one that is filled already.)
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if session is NULL, or size is shorter than this struct was in
/// the first version that had it or longer than 64 KiB; nothing is written then.
#[no_mangle]
pub unsafe extern "C" fn vcp_session_init(session: *mut vcp_session, size: usize) -> c_int {
    // SAFETY: the program promises `size` writable bytes.
    guard(|| unsafe { sized_struct::write(session, size, DEFAULTS) })
}

/// What a filled session says, or why it is none.
fn judge(raw: &vcp_session) -> Result<Session> {
    if raw.data.is_null() {
        return Err(Error::invalid_argument("vcp_session: data is NULL"));
    }
    let liveness = match raw.liveness {
        AS_THE_POOL => None,
        number => Some(liveness(number)?),
    };
    Ok(Session {
        data: UserData::new(raw.data, raw.free_data),
        fd: raw.fd.map(|fd| SessionFd::new(raw.data, fd)),
        liveness,
    })
}

/// Reads a session that the program has opened.
///
/// # Safety
/// `session` is NULL or points to a struct whose size field is right.
pub(crate) unsafe fn read(session: *const vcp_session) -> Result<Session> {
    if session.is_null() {
        return Err(Error::invalid_argument("session is NULL"));
    }
    // SAFETY: the caller's promise.
    judge(&unsafe { sized_struct::read(session, DEFAULTS) }?)
}

type OpenSession =
    unsafe extern "C" fn(*mut c_void, *const vcp_session_request, *mut vcp_session) -> c_int;

/// Asks the program's open_session callback for a session.
pub(crate) fn open(
    user: *mut c_void,
    open_session: OpenSession,
    asked: SessionRequest<'_>,
) -> Result<Session> {
    let texts = [asked.network, asked.address, asked.reuse_tag, asked.label].map(c_text);
    let [network, address, reuse_tag, label] = texts.each_ref().map(|text| text.as_ptr());
    let request = vcp_session_request {
        size: size_of::<vcp_session_request>(),
        network,
        address,
        reuse_tag,
        label,
        timeout_ms: asked.timeout_ms,
    };
    let mut filled = DEFAULTS;
    let answer = run_callback(|| {
        // SAFETY: texts that end in NUL, and a struct of the size that it tells.
        unsafe { open_session(user, &request, &mut filled) }
    });
    if answer.0 != 0 {
        return Err(refused("open_session", answer));
    }
    judge(&filled).map_err(|error| {
        // It was filled in, so it is ended.
        if !filled.data.is_null() {
            let before = fork::epoch();
            UserData::new(filled.data, filled.free_data).free();
            fork::enter_if_forked(before);
        }
        let message = format!("open_session callback: {}", error.message);
        Error::new(Status::Callback, message)
    })
}
