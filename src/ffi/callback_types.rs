//! The types of callbacks, and what an event tells.

use std::ffi::{c_char, c_int, c_void};

use super::handles::{vcp_conn, vcp_resolved};

/// ---- CALLBACKS ----
///
/// A pool calls these functions of the program, each with the user pointer of its options. The
/// table CALLBACKS AND THREADS above tells on which thread each runs. No lock is held meanwhile.
/// They must return: they must not throw, longjmp or end their thread.
///
/// A callback refuses by what it returns; it may say why with vcp_set_callback_error. The dial then
/// fails with VCP_ERR_CALLBACK, the number and the text. By a refusal of on_reuse, on_release or
/// on_idle no dial fails: the connection is closed, and the text is dropped.
///
/// ----
///
/// rewrite: says where to dial instead (Go: Host). It writes the address into out, terminated, and
/// returns 0; another number refuses. It is called for new connections only. The destination keeps
/// the name that the program dialed. What it writes is an address of the same network.
pub type vcp_rewrite_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        address: *const c_char,
        out: *mut c_char,
        size: usize,
    ) -> c_int,
>;

/// resolve: replaces getaddrinfo(3) (Go: Resolver). It adds each address of the host with
/// vcp_resolved_add and returns 0; another number refuses. Within a family the order is kept; those
/// after its first 256 are dropped.
/// timeout_ms is what is left for the dial, VCP_FOREVER without a deadline. If the dial ends
/// earlier, the callback goes on, and what it adds is dropped.
pub type vcp_resolve_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        host: *const c_char,
        timeout_ms: i64,
        out: *mut vcp_resolved,
    ) -> c_int,
>;

/// dial: replaces resolving and connecting (Go: Dialer). It returns a connected descriptor, which
/// becomes the pool's; 0 is one. A negative number refuses. timeout_ms is what is left for the
/// dial, VCP_FOREVER without a deadline: the callback must keep to it, because nothing ends it
/// earlier. A descriptor that is no connected socket is closed, and one that a pool of this process
/// has already is left alone; both fail the dial with VCP_ERR_CALLBACK.
pub type vcp_dial_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        address: *const c_char,
        timeout_ms: i64,
    ) -> c_int,
>;

/// control: sets options of a new socket (Go: net.Dialer.Control). It is called after socket(2),
/// before bind(2) and connect(2), once for each address that is tried. network is exact: tcp4 or
/// tcp6, not tcp. It returns 0; another number refuses.
pub type vcp_control_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        network: *const c_char,
        address: *const c_char,
        fd: c_int,
    ) -> c_int,
>;

/// on_open, on_reuse, on_release, on_idle: looks at a connection. 0 keeps it; another number closes
/// it. conn is the handle that its borrower has or will have. The hook may use it as the borrower
/// may, but must not close or detach it (VCP_ERR_INVALID_ARGUMENT). fd is in the mode that the
/// borrower asked for; it is -1 for a session without a descriptor.
///
/// on_open runs after a new connection is made: a TLS handshake, a login. If it refuses, the
/// connection is closed and the dial fails with VCP_ERR_CALLBACK. It may run when nobody waits for
/// it any more: a dial may be answered by a connection that another borrower gives back, and its
/// own connect then goes on in the background, with on_open, for the next dial.
///
/// on_reuse runs before an idle connection is handed out, if that one has been idle for at least
/// on_reuse_after_ms. If it returns non-zero, or one of its own reads or writes fails, the
/// connection is closed (VCP_CLOSE_HOOK) and the dial takes another.
///
/// on_open and on_reuse spend the dial's time: vcp_conn_read, write and wait have its deadline and
/// its token there. A deadline or token that the hook sets ends with the hook, and gives the dial
/// no more time. When the deadline passes, the token fires or the pool is closed, the library shuts
/// the socket down. From then on vcp_conn_* calls answer VCP_ERR_TIMEOUT, VCP_ERR_CANCELED or
/// VCP_ERR_POOL_CLOSED, never 0; a read(2) on fd sees end of stream. The dial ends with that error
/// when the hook returns.
///
/// on_release runs inside vcp_conn_close, before a fit connection is kept or handed on. With
/// on_release_in_background it runs on a helper thread, and vcp_conn_close returns at once (where
/// no thread can be had it runs inside vcp_conn_close). Until it has ended the connection counts as
/// borrowed (vcp_stats.releasing), and vcp_pool_drain waits for it; vcp_pool_close does not.
///
/// on_idle looks at each idle connection every on_idle_ms, on a helper thread: a ping of the
/// protocol. Meanwhile nobody can borrow that connection, and it counts as borrowed. Afterwards it
/// goes to the oldest dial that waits for it, or back to its place among the idle ones, as if it
/// had been idle all the time: for idle_timeout_ms, reuse_order and vcp_conn_idle_ms. So a ping
/// does not renew idle_timeout_ms: raise that too. If vcp_pool_close, close_idle or evict is called
/// meanwhile, the connection is closed when the hook returns. A process asks about at most 16
/// connections at a time. A connection that is borrowed again and again is never asked about.
///
/// on_release and on_idle have hook_timeout_ms: vcp_conn_read, write and wait have that deadline
/// there; when it passes, the library shuts the socket down, and the connection is closed
/// (VCP_CLOSE_HOOK) when the hook returns. So is one whose read or write inside on_idle has failed,
/// whatever the hook returns. on_release is not called for a connection that is closed anyhow:
/// discarded, failed, evicted, too old, used up, or of a closed pool. After it there may still be
/// no room for the connection. The I/O that a hook does on a session without a descriptor ends by
/// limits of the driver's own alone.
///
/// A hook that writes to fd by itself (SSL_connect does) may raise SIGPIPE when the peer has gone.
/// vcp_conn_write never does.
pub type vcp_conn_hook_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, conn: *mut vcp_conn, fd: c_int) -> c_int>;

/// on_event: hears what has just happened in the pool. It may call the library. It cannot refuse.
///
/// While on_event runs, what the event freed (by a give-back, a close, the end of a dial or of a
/// wait) is given to nobody, unless the callback itself dials: one that counts events sees no limit
/// broken. So do not wait in it for another thread's dial of this pool.
///
/// The descriptor of a VCP_EVENT_CLOSED that is the pool's is still open during the call; that of a
/// session has been closed by its driver. That an asynchronous dial was ended by its deadline, its
/// token or its pool's close may be told a moment after its completion.
pub type vcp_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: *const vcp_event)>;

/// free_data, free_user: frees what the program gave the library. It is never called with NULL.
pub type vcp_free_fn = Option<unsafe extern "C" fn(data: *mut c_void)>;

/// ---- SESSIONS OF DRIVERS THAT DIAL BY THEMSELVES ----
///
/// A driver such as libpq opens its own socket and never gives it away. A pool can hold its session
/// as a connection: with the same limits, waiting, checks, ageing, hooks, events and asynchronous
/// dials. The pool opens sessions by its open_session callback; vcp_pool_put_session gives it one
/// that the program has opened. vcp_conn_data gives each borrower its session.
///
/// The descriptor stays the driver's. The library watches it, peeks at it, and shuts it down in
/// vcp_pool_abort and where a hook's time is over. It never reads, writes or closes it, and never
/// changes its mode or an option. So vcp_conn_read, write, try_read, try_write, read_full and
/// shutdown answer VCP_ERR_INVALID_ARGUMENT. vcp_conn_wait works. Tell what the driver met by
/// vcp_conn_report or vcp_conn_discard.
///
/// A session without a descriptor is neither checked nor watched: on_reuse and on_idle do that.
/// Nothing ends the calls of its driver, neither hook_timeout_ms nor vcp_pool_abort: give them
/// limits of their own. A dial returns 0 for it, which is no descriptor; vcp_conn_wait and
/// vcp_conn_raw_fd answer VCP_ERR_NOT_AVAILABLE.
///
/// free_data ends a session, once: after the library has let go of its descriptor, on the thread
/// that closes the connection, or on a helper thread for work in the background. vcp_conn_detach
/// gives the session to the caller, and free_data does not run. In a forked child the sessions of
/// the parent are never used, and free_data does not run.
///
/// ----
///
/// What open_session is asked for. Its texts are never NULL, and valid during the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_session_request {
    /// sizeof(vcp_session_request) in the library that is loaded.
    pub size: usize,
    /// The network of the destination.
    pub network: *const c_char,
    /// Where to dial: the address of the destination, or what rewrite made of it. It has the form
    /// of its network, and has not been resolved.
    pub address: *const c_char,
    /// The reuse tag of the destination, or "".
    pub reuse_tag: *const c_char,
    /// The label of the borrower, or "".
    pub label: *const c_char,
    /// What is left of the dial's time, in milliseconds; VCP_FOREVER without a deadline.
    pub timeout_ms: i64,
}

/// fd: returns the socket that a session has at this moment, or -1 (PQsocket, say).
///
/// A driver may reconnect (PQreset), so it is asked again and again: after opening and after
/// on_open, when put, at a give-back (before on_release if there is one, and after it), after
/// on_reuse, and after on_idle. Before on_release and after on_reuse it is asked only if the socket
/// that it told last is gone; about a session that is closed anyhow it may not be asked at all.
///
/// -1 from a session that has told a socket before means that the session is lost: it is closed
/// (VCP_CLOSE_FAILED), and a dial that is opening it fails with VCP_ERR_CALLBACK. So does a number
/// that is no connected socket, or that another connection of a pool has.
///
/// It must not block. It runs on the thread that opens the session, puts it, gives it back, or has
/// run its hook, and never together with another call for the same session.
pub type vcp_session_fd_fn = Option<unsafe extern "C" fn(data: *mut c_void) -> c_int>;

/// A session of a driver. The default of each field stands in brackets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_session {
    /// sizeof(vcp_session).
    pub size: usize,
    /// [NULL] The session, which must not be NULL. vcp_conn_data gives it to each borrower.
    pub data: *mut c_void,
    /// [NULL] Ends the session (PQfinish).
    pub free_data: vcp_free_fn,
    /// [NULL] Tells the socket of the session. NULL: it has none, or does not tell.
    pub fd: vcp_session_fd_fn,
    /// [-1: the pool's] How the session is checked before it is handed out: a vcp_liveness.
    pub liveness: i32,
}

/// open_session: opens a session, instead of resolving and connecting; rewrite comes before it,
/// on_open after it. It fills *session, which has its defaults, and returns 0; another number
/// refuses. Before you refuse (non-zero, or data NULL), free what you opened.
///
/// timeout_ms is what is left for the dial. The callback must keep to it, because nothing ends it
/// earlier: a dial whose time is over returns when the callback does. (An asynchronous one is
/// answered at its deadline, and vcp_pool_close does not wait for a callback on a helper thread.) A
/// refusal that comes too late is VCP_ERR_TIMEOUT, phase opening, or VCP_ERR_CANCELED if the token
/// has fired.
///
/// If a session comes too late, the caller gets the error; the session is kept for the next
/// borrower, and counts as a dial that succeeded. It is ended by free_data if the pool was closed
/// meanwhile or has an on_open hook. Until it comes it counts against every limit.
pub type vcp_session_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        request: *const vcp_session_request,
        session: *mut vcp_session,
    ) -> c_int,
>;

/// What an event tells: one of the VCP_EVENT_* numbers.
pub type vcp_event_kind = i32;

/// ---- EVENTS ----
///
/// vcp_event.kind is one of these numbers, a vcp_event_kind.
///
/// ----
///
/// A dial of a new connection began.
pub const VCP_EVENT_DIAL_START: i32 = 0;
/// A dial of a new connection succeeded.
pub const VCP_EVENT_DIAL_DONE: i32 = 1;
/// A dial of a new connection failed.
pub const VCP_EVENT_DIAL_FAILED: i32 = 2;
/// A connection of the pool was handed out.
pub const VCP_EVENT_REUSED: i32 = 3;
/// A connection was given back, and kept or handed on.
pub const VCP_EVENT_RELEASED: i32 = 4;
/// A connection was closed; vcp_event.reason tells why.
pub const VCP_EVENT_CLOSED: i32 = 5;
/// A dial began to wait at a limit, or for its turn to dial.
pub const VCP_EVENT_WAIT_START: i32 = 6;
/// A dial ended its wait, with or without a connection.
pub const VCP_EVENT_WAIT_DONE: i32 = 7;
/// A connection has been borrowed for longer than leak_threshold_ms. It is told once.
pub const VCP_EVENT_LEAKED: i32 = 8;
/// A connection that was told as leaked has been given back after all.
pub const VCP_EVENT_LEAK_RETURNED: i32 = 9;

/// Why a connection was closed: one of the VCP_CLOSE_* numbers.
pub type vcp_close_reason = i32;

/// ---- WHY A CONNECTION WAS CLOSED ----
///
/// vcp_event.reason is one of these numbers, a vcp_close_reason, in a VCP_EVENT_CLOSED.
///
/// ----
///
/// The event is no VCP_EVENT_CLOSED.
pub const VCP_CLOSE_NONE: i32 = 0;
/// Its borrower discarded it, or the pool was aborted.
pub const VCP_CLOSE_DISCARDED: i32 = 1;
/// It was idle for idle_timeout_ms.
pub const VCP_CLOSE_IDLE_TIMEOUT: i32 = 2;
/// Its lifetime, drawn from max_lifetime_ms, ended.
pub const VCP_CLOSE_LIFETIME: i32 = 3;
/// It was borrowed max_uses times.
pub const VCP_CLOSE_MAX_USES: i32 = 4;
/// There was no room to keep it.
pub const VCP_CLOSE_IDLE_FULL: i32 = 5;
/// vcp_pool_evict or vcp_pool_close_idle closed it, or it made room for another connection.
pub const VCP_CLOSE_EVICTED: i32 = 6;
/// Its peer closed it.
pub const VCP_CLOSE_PEER_CLOSED: i32 = 7;
/// Bytes arrived that nobody had asked for (VCP_LIVENESS_STRICT).
pub const VCP_CLOSE_DIRTY: i32 = 8;
/// A read, write or wait on it failed or met end of stream.
pub const VCP_CLOSE_FAILED: i32 = 9;
/// A hook refused it.
pub const VCP_CLOSE_HOOK: i32 = 10;
/// The pool was closed or drained.
pub const VCP_CLOSE_POOL_CLOSED: i32 = 11;
/// Its number names another file now: the borrower, or a library that it was lent to, has closed
/// the descriptor. The pool left that number alone.
pub const VCP_CLOSE_FOREIGN_FD: i32 = 12;

/// What on_event is told. Its texts are never NULL, and valid during the call. Later versions of
/// the library add fields at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_event {
    /// sizeof(vcp_event) in the library that is loaded.
    pub size: usize,
    /// What happened: a vcp_event_kind.
    pub kind: i32,
    /// Why the connection was closed: a vcp_close_reason, for VCP_EVENT_CLOSED.
    pub reason: i32,
    /// The vcp_status of what failed; VCP_OK if nothing did.
    pub status: c_int,
    /// The network of the destination.
    pub network: *const c_char,
    /// The address of the destination.
    pub address: *const c_char,
    /// The label of the borrower (vcp_dial_options), or "".
    pub label: *const c_char,
    /// The descriptor of the connection; -1 if there is none.
    pub fd: c_int,
    /// A time in microseconds. For DIAL_DONE and DIAL_FAILED: how long the dial took. For
    /// WAIT_DONE: how long the wait took. For RELEASED, LEAKED, LEAK_RETURNED, and a CLOSED that
    /// ends a borrow: how long the connection has been borrowed. Else 0.
    pub duration_us: i64,
    /// The reuse tag of the destination, or "".
    pub reuse_tag: *const c_char,
    /// The address of the peer, or "".
    pub remote_address: *const c_char,
    /// The text of a failure, as vcp_last_error() has it. For LEAKED: the pool's name and the time.
    /// Else "".
    pub message: *const c_char,
}
