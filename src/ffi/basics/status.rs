//! Status codes.

use std::ffi::{c_char, c_int, CStr};

/// ---- NAMES OF THE NUMBERS ----
///
/// The fields and parameters that carry one of them are int32_t, or uint32_t for the flags.
///
/// ----
///
/// A status: VCP_OK, or one of the VCP_ERR_* codes, which are all negative.
pub type vcp_status = i32;

/// ---- STATUS CODES ----
///
/// What a function returns when it fails: a negative number of those below, a vcp_status. Numbers
/// are never reused for another meaning. vcp_status_name and vcp_strerror turn one into text.
///
/// ----
///
/// Success.
pub const VCP_OK: i32 = 0;
/// A parameter or a field of an options struct has a value that it must not have: NULL where a
/// value is needed, an unknown enum or flag, a number out of range. The message names it.
pub const VCP_ERR_INVALID_ARGUMENT: i32 = -1;
/// The value never was a handle of this kind, or it names a token, a queue or a vcp_resolved that
/// is gone.
pub const VCP_ERR_INVALID_HANDLE: i32 = -2;
/// The network is none of those that vcp_dial_with lists.
pub const VCP_ERR_UNKNOWN_NETWORK: i32 = -3;
/// The address does not have the form that its network asks for: no port, a bad port, unbalanced
/// brackets, an unknown service or zone, a unix path of more than 107 bytes, invalid UTF-8, or more
/// than 1,024 bytes.
pub const VCP_ERR_INVALID_ADDRESS: i32 = -4;
/// The name has no address of the network's family, or the resolver failed. vcp_last_errno() is the
/// EAI_* value of getaddrinfo(3).
pub const VCP_ERR_RESOLVE: i32 = -5;
/// No address of the destination could be connected to. The message names each address with its
/// error; vcp_last_errno() is the errno of the first one.
pub const VCP_ERR_CONNECT: i32 = -6;
/// The deadline passed. vcp_last_phase() and the message tell what the call was doing.
pub const VCP_ERR_TIMEOUT: i32 = -7;
/// The cancel token fired.
pub const VCP_ERR_CANCELED: i32 = -8;
/// The pool was closed, before the call or while it ran. What dials, vcp_pool_put, vcp_pool_get and
/// their like end with it also where the pool was drained. On a connection: the pool was aborted.
pub const VCP_ERR_POOL_CLOSED: i32 = -9;
/// A limit of the pool is reached, nothing idle could be closed to make room, and the dial does not
/// wait. Go: ErrConnPoolMax.
pub const VCP_ERR_POOL_EXHAUSTED: i32 = -10;
/// vcp_pool_put, vcp_pool_add, vcp_pool_put_session, vcp_pool_warm: the pool has no room for
/// another idle connection. Go: ErrPoolFull.
pub const VCP_ERR_IDLE_FULL: i32 = -11;
/// vcp_pool_get, and a dial with VCP_DIAL_REUSE_ONLY: nothing is idle. Go: ErrConnNotAvailable.
/// vcp_conn_raw_fd and vcp_conn_wait: the session has no descriptor.
pub const VCP_ERR_NOT_AVAILABLE: i32 = -12;
/// The connection was closed or detached before the call, or closed by another thread while it ran.
pub const VCP_ERR_CONN_CLOSED: i32 = -13;
/// A read, a write or a wait failed; vcp_last_errno() is its errno.
pub const VCP_ERR_IO: i32 = -14;
/// A callback of the program refused. The message has the callback's name, the number that it
/// returned (vcp_last_errno() too), and its text (vcp_set_callback_error).
pub const VCP_ERR_CALLBACK: i32 = -15;
/// The system refused a descriptor, a thread or another resource (EMFILE, ENOBUFS, EAGAIN);
/// vcp_last_errno() is its errno. Where descriptors ran out (EMFILE, ENFILE), the pool first closes
/// its longest idle connection and tries once more.
pub const VCP_ERR_SYSTEM: i32 = -16;
/// vcp_dial_async: the dial goes on, and its answer comes through the queue.
pub const VCP_ERR_IN_PROGRESS: i32 = -17;
/// vcp_pool_put, vcp_pool_add, vcp_pool_put_session: the descriptor is no connected socket, its
/// peer has closed it, or it holds unread bytes.
pub const VCP_ERR_NOT_REUSABLE: i32 = -18;
/// vcp_conn_try_read, vcp_conn_try_write: nothing can be moved now. The connection stays fit.
pub const VCP_ERR_WOULD_BLOCK: i32 = -19;
/// Memory ran out: malloc(3) failed, and nothing was changed. (What a dial has closed to make room
/// stays closed.) Any function that makes something may return it. Those that end something never
/// do: what they need was set aside before.
pub const VCP_ERR_NO_MEMORY: i32 = -20;
/// A bug in the library, contained; the message says what happened. Any function may return it.
pub const VCP_ERR_INTERNAL: i32 = -99;

/// What a call was doing when its deadline passed: one of the VCP_PHASE_* numbers.
pub type vcp_phase = i32;

/// ---- WHAT TOOK TOO LONG ----
///
/// vcp_last_phase() returns one of these numbers, a vcp_phase, after a VCP_ERR_TIMEOUT.
///
/// ----
///
/// The last failure was no timeout.
pub const VCP_PHASE_NONE: i32 = 0;
/// The dial was waiting at a limit, or for its turn to dial.
pub const VCP_PHASE_WAITING: i32 = 1;
/// The dial was resolving the name.
pub const VCP_PHASE_RESOLVING: i32 = 2;
/// The dial was connecting.
pub const VCP_PHASE_CONNECTING: i32 = 3;
/// The dial was running open_session, on_open or on_reuse.
pub const VCP_PHASE_OPENING: i32 = 4;
/// The call was reading, or waiting to read.
pub const VCP_PHASE_READING: i32 = 5;
/// The call was writing, or waiting to write.
pub const VCP_PHASE_WRITING: i32 = 6;

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
        VCP_ERR_NO_MEMORY => (c"VCP_ERR_NO_MEMORY", c"memory ran out"),
        VCP_ERR_INTERNAL => (c"VCP_ERR_INTERNAL", c"internal error of libvconnpool"),
        _ => UNKNOWN,
    }
}

/// A number of the list, and a failure.
pub(crate) fn is_failure(status: c_int) -> bool {
    status < 0 && texts(status) != UNKNOWN
}

/// What vcp_strerror says.
pub(crate) fn description(status: c_int) -> &'static CStr {
    texts(status).1
}

/// ---- STATUS AND ERRORS ----
///
/// A failed call returns a negative status and leaves its message with the calling thread. The
/// three vcp_last_* functions tell of that thread's last failed call; a success does not change
/// what they return. None of the functions of this group can fail.
///
/// ----
///
/// The name of a status, as "VCP_ERR_TIMEOUT"; "VCP_ERR_UNKNOWN" for a number that is none. The
/// text is static and never NULL.
#[no_mangle]
pub extern "C" fn vcp_status_name(status: c_int) -> *const c_char {
    texts(status).0.as_ptr()
}

/// A short description of a status, as "the deadline passed"; "unknown status" for a number that is
/// none. The text is static and never NULL. vcp_last_error() says more.
#[no_mangle]
pub extern "C" fn vcp_strerror(status: c_int) -> *const c_char {
    description(status).as_ptr()
}
