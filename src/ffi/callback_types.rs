//! The types of callbacks, and what an event tells.

use std::ffi::{c_char, c_int, c_void};

use super::handles::{vcp_conn, vcp_resolved};

/// Where to dial instead (Go: Host). Writes the address into out, terminated; returns 0, or refuses
/// with another number. Called for fresh dials only; the destination keeps its own name. Runs on
/// the dialing thread, or a helper thread of the library (asynchronous dials).
pub type vcp_rewrite_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        address: *const c_char,
        out: *mut c_char,
        size: usize,
    ) -> c_int,
>;

/// Replaces getaddrinfo (Go: Resolver): adds each address with vcp_resolved_add; within a family
/// their order is kept. timeout_ms is what is left, -1 without a deadline. Returns 0, or refuses
/// with another number. Runs on a thread of the library when a deadline or a token could end the
/// dial earlier (the callback itself goes on, and must return some day), else on the dialing
/// thread.
pub type vcp_resolve_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        host: *const c_char,
        timeout_ms: i64,
        out: *mut vcp_resolved,
    ) -> c_int,
>;

/// Replaces resolving and connecting (Go: Dialer): returns a connected descriptor, which the pool
/// then owns, or a negative number to refuse (0 is a descriptor). timeout_ms is what is left, -1
/// without a deadline. What is no connected socket is closed all the same, and the dial fails with
/// VCP_ERR_CALLBACK; a descriptor that a pool of this process has already is left alone. Runs on
/// the dialing thread, or a helper thread of the library (asynchronous dials), and nothing ends it
/// earlier: keep to timeout_ms.
pub type vcp_dial_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        address: *const c_char,
        timeout_ms: i64,
    ) -> c_int,
>;

/// Called after socket(2), before bind(2) and connect(2) (Go: net.Dialer.Control), with the network
/// as tcp4 or tcp6. Returns 0, or refuses with another number. Runs on the dialing thread, or a
/// helper thread of the library (asynchronous dials).
pub type vcp_control_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        address: *const c_char,
        fd: c_int,
    ) -> c_int,
>;

/// on_open, on_reuse, on_release: 0 keeps the connection, anything else closes it. conn is the
/// handle that the borrower of this time gets; inside the hook everything may be done with it but
/// closing and detaching it (VCP_ERR_INVALID_ARGUMENT). fd is in the mode that the borrower asked
/// for.
///
/// on_open: after a fresh connect (a TLS handshake, a login). Refused, the dial fails with
/// VCP_ERR_CALLBACK and the connection never was the pool's. A dial whose caller was answered by a
/// connection given back meanwhile goes on: its on_open runs when its own connect is done, perhaps
/// long after the caller has gone. on_reuse: before one from the pool is handed out. Refused, it is
/// closed (VCP_CLOSE_HOOK) and the next idle one or a fresh dial takes its place; so it is when a
/// read or write of the hook's has failed. Both run on the dialing thread, or on a helper thread of
/// the library (asynchronous dials, background dials), and in the dial's own time: vcp_conn_read,
/// write and wait have its deadline and token, and when the deadline passes, the token fires or the
/// pool closes, the socket is shut down and the dial ends with VCP_ERR_TIMEOUT (VCP_PHASE_OPENING),
/// VCP_ERR_CANCELED or VCP_ERR_POOL_CLOSED as soon as the hook returns. A deadline or token that
/// the hook sets itself ends with it, and does not prolong the dial's: from then on vcp_conn_*
/// calls answer VCP_ERR_TIMEOUT, CANCELED or POOL_CLOSED, never 0; who reads the descriptor itself
/// sees end of stream. A write of the program's own to fd (SSL_connect makes some) may raise
/// SIGPIPE when the peer has gone or the socket has been shut down; vcp_conn_write never does.
///
/// on_release: before one that is fit is kept or handed on, on its borrower's own thread, inside
/// vcp_conn_close; without deadline. Refused, it is closed (VCP_CLOSE_HOOK). It is not called for
/// one that is closed anyhow: discarded, failed, evicted, too old, used up, or of a closed pool.
/// Whether there is room for it shows only afterwards.
pub type vcp_conn_hook_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, conn: *mut vcp_conn, fd: c_int) -> c_int>;

/// Told what has just happened in the pool, on the thread that caused it (what the library does in
/// the background: on a thread of its own that may block), with no lock held: it may call the
/// library. A CLOSED descriptor is still open during the call. That an asynchronous dial was ended
/// by its deadline, its token or its pool's close may be told a moment after its completion.
pub type vcp_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: *const vcp_event)>;

/// Frees what the program gave the library; never called with NULL.
pub type vcp_free_fn = Option<unsafe extern "C" fn(data: *mut c_void)>;

/// What a session is opened for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_session_request {
    /// sizeof this struct in the library's version.
    pub size: usize,
    /// The destination's network.
    pub network: *const c_char,
    /// Where to dial: the destination's address, or what rewrite made of it.
    pub address: *const c_char,
    /// The destination's reuse tag, or "".
    pub reuse_tag: *const c_char,
    /// The borrower's label, or "".
    pub label: *const c_char,
    /// What is left of the dial's time, VCP_FOREVER without a deadline.
    pub timeout_ms: i64,
}

/// The socket of a session at this moment, or -1.
pub type vcp_session_fd_fn = Option<unsafe extern "C" fn(data: *mut c_void) -> c_int>;

/// A session of a driver that dials by itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_session {
    /// sizeof(vcp_session).
    pub size: usize,
    /// The session, not NULL: vcp_conn_data gives it to each borrower.
    pub data: *mut c_void,
    /// [NULL] Ends the session.
    pub free_data: vcp_free_fn,
    /// [NULL] Its socket; NULL: it has none, or does not tell.
    pub fd: vcp_session_fd_fn,
    /// [-1: the pool's] A vcp_liveness.
    pub liveness: i32,
}

/// Opens a session: fills it and returns 0, or refuses with another number.
pub type vcp_session_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        request: *const vcp_session_request,
        session: *mut vcp_session,
    ) -> c_int,
>;

/// What happened.
pub type vcp_event_kind = i32;

/// A fresh dial began.
pub const VCP_EVENT_DIAL_START: vcp_event_kind = 0;
/// A fresh dial succeeded.
pub const VCP_EVENT_DIAL_DONE: vcp_event_kind = 1;
/// A fresh dial failed.
pub const VCP_EVENT_DIAL_FAILED: vcp_event_kind = 2;
/// An idle connection was handed out.
pub const VCP_EVENT_REUSED: vcp_event_kind = 3;
/// A connection was given back, and kept or handed on.
pub const VCP_EVENT_RELEASED: vcp_event_kind = 4;
/// A connection was closed, for the reason told.
pub const VCP_EVENT_CLOSED: vcp_event_kind = 5;
/// A dial began to wait at a limit.
pub const VCP_EVENT_WAIT_START: vcp_event_kind = 6;
/// A dial ended its wait.
pub const VCP_EVENT_WAIT_DONE: vcp_event_kind = 7;
/// A connection has been borrowed for longer than leak_threshold_ms.
pub const VCP_EVENT_LEAKED: vcp_event_kind = 8;
/// A connection that was reported as leaked came back after all.
pub const VCP_EVENT_LEAK_RETURNED: vcp_event_kind = 9;

/// Why a connection was closed.
pub type vcp_close_reason = i32;

/// Not closed.
pub const VCP_CLOSE_NONE: vcp_close_reason = 0;
/// The borrower discarded it.
pub const VCP_CLOSE_DISCARDED: vcp_close_reason = 1;
/// Idle for idle_timeout_ms.
pub const VCP_CLOSE_IDLE_TIMEOUT: vcp_close_reason = 2;
/// Its lifetime ended.
pub const VCP_CLOSE_LIFETIME: vcp_close_reason = 3;
/// Borrowed max_uses times.
pub const VCP_CLOSE_MAX_USES: vcp_close_reason = 4;
/// No room to keep it.
pub const VCP_CLOSE_IDLE_FULL: vcp_close_reason = 5;
/// evict, close_idle, or room made for another destination.
pub const VCP_CLOSE_EVICTED: vcp_close_reason = 6;
/// The peer closed it.
pub const VCP_CLOSE_PEER_CLOSED: vcp_close_reason = 7;
/// Bytes arrived while it was idle.
pub const VCP_CLOSE_DIRTY: vcp_close_reason = 8;
/// A read or write failed.
pub const VCP_CLOSE_FAILED: vcp_close_reason = 9;
/// A hook refused it.
pub const VCP_CLOSE_HOOK: vcp_close_reason = 10;
/// The pool was closed or drained.
pub const VCP_CLOSE_POOL_CLOSED: vcp_close_reason = 11;
/// verify_release found another file under its number.
pub const VCP_CLOSE_FOREIGN_FD: vcp_close_reason = 12;

/// What on_event is told. Pointers are never NULL and valid during the call; fd is -1 where there
/// is none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_event {
    /// sizeof this struct in the library's version.
    pub size: usize,
    /// A vcp_event_kind.
    pub kind: i32,
    /// A vcp_close_reason, for VCP_EVENT_CLOSED.
    pub reason: i32,
    /// The vcp_status of what failed, else VCP_OK.
    pub status: c_int,
    /// The destination's network.
    pub network: *const c_char,
    /// The destination's address.
    pub address: *const c_char,
    /// The borrower's label (vcp_dial_options), or "".
    pub label: *const c_char,
    /// The connection's descriptor, or -1.
    pub fd: c_int,
    /// In microseconds: how long the dial (DIAL_DONE, DIAL_FAILED) or the wait (WAIT_DONE) took, or
    /// how long the connection has been borrowed (RELEASED, LEAKED, LEAK_RETURNED, and CLOSED at
    /// the end of a borrow); else 0.
    pub duration_us: i64,
    /// The destination's reuse tag, or "".
    pub reuse_tag: *const c_char,
    /// The peer's address, or "".
    pub remote_address: *const c_char,
    /// The failure's text, as vcp_last_error() has it; for LEAKED the pool's name and the time; or
    /// "".
    pub message: *const c_char,
}
