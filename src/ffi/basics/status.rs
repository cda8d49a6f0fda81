//! Status codes.

use std::ffi::{c_char, c_int, CStr};

/// What a function returns when it fails: one of the numbers below, all negative. Numbers are never
/// reused.
pub type vcp_status = i32;

/// Success.
pub const VCP_OK: vcp_status = 0;
/// NULL where a value is needed, a bad option, an unknown enum or flag, a negative count; also what
/// is not supported yet.
pub const VCP_ERR_INVALID_ARGUMENT: vcp_status = -1;
/// The value never was a handle of this kind.
pub const VCP_ERR_INVALID_HANDLE: vcp_status = -2;
/// The network is none of those that vcp_dial lists.
pub const VCP_ERR_UNKNOWN_NETWORK: vcp_status = -3;
/// No port, a bad port, unbalanced brackets, an over-long unix path, an unknown service or zone,
/// invalid UTF-8, or longer than 1,024 bytes.
pub const VCP_ERR_INVALID_ADDRESS: vcp_status = -4;
/// The name has no address (of the network's family), or the resolver failed; vcp_last_errno() is
/// the EAI_* value.
pub const VCP_ERR_RESOLVE: vcp_status = -5;
/// Every address failed; vcp_last_errno() is the first one's.
pub const VCP_ERR_CONNECT: vcp_status = -6;
/// The deadline passed; the message and vcp_last_phase() name the phase.
pub const VCP_ERR_TIMEOUT: vcp_status = -7;
/// The cancel token fired.
pub const VCP_ERR_CANCELED: vcp_status = -8;
/// The pool was closed, before the call or while it ran.
pub const VCP_ERR_POOL_CLOSED: vcp_status = -9;
/// A limit is reached and nothing idle could be closed to make room (Go: ErrConnPoolMax).
pub const VCP_ERR_POOL_EXHAUSTED: vcp_status = -10;
/// put, add: no room to keep it (Go: ErrPoolFull).
pub const VCP_ERR_IDLE_FULL: vcp_status = -11;
/// get, reuse-only dial: nothing idle (Go: ErrConnNotAvailable).
pub const VCP_ERR_NOT_AVAILABLE: vcp_status = -12;
/// This handle was closed or detached.
pub const VCP_ERR_CONN_CLOSED: vcp_status = -13;
/// A read or write failed; see vcp_last_errno().
pub const VCP_ERR_IO: vcp_status = -14;
/// A callback refused; the message names it, its number and its own text (vcp_set_callback_error).
pub const VCP_ERR_CALLBACK: vcp_status = -15;
/// The system refused a resource (EMFILE, ENOBUFS, EAGAIN from thread creation). When descriptors
/// run out (EMFILE, ENFILE), the pool first closes its longest idle connection and tries once more.
pub const VCP_ERR_SYSTEM: vcp_status = -16;
/// Asynchronous dial: the answer comes through the queue.
pub const VCP_ERR_IN_PROGRESS: vcp_status = -17;
/// put, add: the descriptor is dead, dirty (unread bytes), not connected or not a socket.
pub const VCP_ERR_NOT_REUSABLE: vcp_status = -18;
/// try_read, try_write: nothing can be moved now; the connection stays fit.
pub const VCP_ERR_WOULD_BLOCK: vcp_status = -19;
/// A bug in the library, contained.
pub const VCP_ERR_INTERNAL: vcp_status = -99;

/// What was going on when a deadline passed.
pub type vcp_phase = i32;

/// Not a timeout.
pub const VCP_PHASE_NONE: vcp_phase = 0;
/// Waiting for a connection or a turn, at a limit.
pub const VCP_PHASE_WAITING: vcp_phase = 1;
/// Resolving the name.
pub const VCP_PHASE_RESOLVING: vcp_phase = 2;
/// Connecting.
pub const VCP_PHASE_CONNECTING: vcp_phase = 3;
/// Running on_open or on_reuse.
pub const VCP_PHASE_OPENING: vcp_phase = 4;
/// Reading, or waiting to.
pub const VCP_PHASE_READING: vcp_phase = 5;
/// Writing, or waiting to.
pub const VCP_PHASE_WRITING: vcp_phase = 6;

const UNKNOWN: (&CStr, &CStr) = (c"VCP_ERR_UNKNOWN", c"unknown status");

fn texts(status: c_int) -> (&'static CStr, &'static CStr) {
    match status {
        VCP_OK => (c"VCP_OK", c"success"),
        VCP_ERR_INVALID_ARGUMENT => (c"VCP_ERR_INVALID_ARGUMENT", c"invalid argument"),
        VCP_ERR_INVALID_HANDLE => (c"VCP_ERR_INVALID_HANDLE", c"not a handle of this kind"),
        VCP_ERR_UNKNOWN_NETWORK => (c"VCP_ERR_UNKNOWN_NETWORK", c"unknown network"),
        VCP_ERR_INVALID_ADDRESS => (c"VCP_ERR_INVALID_ADDRESS", c"invalid address"),
        VCP_ERR_RESOLVE => (c"VCP_ERR_RESOLVE", c"the name could not be resolved"),
        VCP_ERR_CONNECT => (c"VCP_ERR_CONNECT", c"no address could be connected to"),
        VCP_ERR_TIMEOUT => (c"VCP_ERR_TIMEOUT", c"the deadline passed"),
        VCP_ERR_CANCELED => (c"VCP_ERR_CANCELED", c"canceled"),
        VCP_ERR_POOL_CLOSED => (c"VCP_ERR_POOL_CLOSED", c"the pool is closed"),
        VCP_ERR_POOL_EXHAUSTED => (c"VCP_ERR_POOL_EXHAUSTED", c"a limit of the pool is reached"),
        VCP_ERR_IDLE_FULL => (c"VCP_ERR_IDLE_FULL", c"no room for another idle connection"),
        VCP_ERR_NOT_AVAILABLE => (c"VCP_ERR_NOT_AVAILABLE", c"no idle connection"),
        VCP_ERR_CONN_CLOSED => (c"VCP_ERR_CONN_CLOSED", c"the connection handle is closed"),
        VCP_ERR_IO => (c"VCP_ERR_IO", c"input/output error"),
        VCP_ERR_CALLBACK => (c"VCP_ERR_CALLBACK", c"a callback refused"),
        VCP_ERR_SYSTEM => (c"VCP_ERR_SYSTEM", c"the system refused a resource"),
        VCP_ERR_IN_PROGRESS => (
            c"VCP_ERR_IN_PROGRESS",
            c"the answer comes through the queue",
        ),
        VCP_ERR_NOT_REUSABLE => (
            c"VCP_ERR_NOT_REUSABLE",
            c"not a live, clean, connected socket",
        ),
        VCP_ERR_WOULD_BLOCK => (c"VCP_ERR_WOULD_BLOCK", c"nothing can be moved now"),
        VCP_ERR_INTERNAL => (c"VCP_ERR_INTERNAL", c"internal error of libvconnpool"),
        _ => UNKNOWN,
    }
}

/// The constant's name, as "VCP_ERR_TIMEOUT"; "VCP_ERR_UNKNOWN" for a number that is none. Static
/// text, never NULL.
#[no_mangle]
pub extern "C" fn vcp_status_name(status: c_int) -> *const c_char {
    texts(status).0.as_ptr()
}

/// A short description of a status. Static text, never NULL, also for unknown numbers.
#[no_mangle]
pub extern "C" fn vcp_strerror(status: c_int) -> *const c_char {
    texts(status).1.as_ptr()
}
