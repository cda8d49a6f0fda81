//! A dial's options: the C struct, its defaults, and what is refused.

use std::ffi::{c_char, c_int};
use std::mem::offset_of;

use crate::ffi::arguments::sized_struct::{self, SizedStruct};
use crate::ffi::arguments::time::timeout_or_pools;
use crate::ffi::basics::times::VCP_POOL_DEFAULT;
use crate::ffi::guard::guard;
use crate::ffi::handles::vcp_cancel;
use crate::values::error::{Error, Result};

/// Bits of vcp_dial_options.flags: VCP_DIAL_* numbers, joined by |.
pub type vcp_dial_flag = u32;

/// ---- FLAGS OF A DIAL ----
///
/// Bits of vcp_dial_options.flags, to be joined by |. FRESH excludes REUSE_ONLY, and NONBLOCKING
/// excludes BLOCKING.
///
/// ----
///
/// Dial a new connection, even if one is idle. Go: PriorityContextKey.
pub const VCP_DIAL_FRESH: u32 = 1;
/// Take an idle connection or fail with VCP_ERR_NOT_AVAILABLE: do not dial, do not wait.
pub const VCP_DIAL_REUSE_ONLY: u32 = 2;
/// vcp_dial_async only: every answer comes through the queue, one that is known at once too.
pub const VCP_DIAL_QUEUED: u32 = 4;
/// Hand the descriptor out in non-blocking mode, for this borrow.
pub const VCP_DIAL_NONBLOCKING: u32 = 8;
/// Hand the descriptor out in blocking mode, for this borrow.
pub const VCP_DIAL_BLOCKING: u32 = 16;

const ALL_FLAGS: u32 = VCP_DIAL_FRESH
    | VCP_DIAL_REUSE_ONLY
    | VCP_DIAL_QUEUED
    | VCP_DIAL_NONBLOCKING
    | VCP_DIAL_BLOCKING;

/// ---- OPTIONS OF A DIAL ----
///
/// Fill a vcp_dial_options with vcp_dial_options_init, change what you need, and pass it to
/// vcp_dial_with, vcp_dial_async or vcp_pool_warm. The default of each field stands in brackets.
///
/// ----
///
/// How one dial is done.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_dial_options {
    /// sizeof(vcp_dial_options). vcp_dial_options_init sets it.
    pub size: usize,
    /// [VCP_POOL_DEFAULT: the pool's dial_timeout_ms] How long the dial may take in all, from now.
    /// VCP_FOREVER: no limit. 0: the time is over already, and the dial fails even if a connection
    /// is idle.
    pub timeout_ms: i64,
    /// [VCP_POOL_DEFAULT: the pool's wait_timeout_ms] How long the dial waits at a limit. 0: it
    /// fails at once. VCP_FOREVER: it waits for as long as the dial may take.
    pub wait_timeout_ms: i64,
    /// [NULL: none] The token that ends the dial when it fires. One that has fired already fails
    /// the dial, even if a connection is idle. The token may be freed as soon as the dial has
    /// begun.
    pub cancel: *mut vcp_cancel,
    /// [NULL, which is ""] A part of the destination: connections are reused only under the tag
    /// that they were dialed with. Use one for each user or TLS configuration. At most 1,024 bytes.
    pub reuse_tag: *const c_char,
    /// [NULL, which is ""] A name for the borrower in events and leak reports; at most 1,024 bytes.
    pub label: *const c_char,
    /// [0] VCP_DIAL_* bits.
    pub flags: u32,
    /// [INT64_MAX: none] When the dial ends, as a time of vcp_now_ms(), so that one budget can
    /// cover a dial, its I/O and its retries. If timeout_ms ends earlier, that counts.
    pub deadline_at_ms: i64,
}

// SAFETY: repr(C), size first, integers and pointers only.
unsafe impl SizedStruct for vcp_dial_options {
    const NAME: &'static str = "vcp_dial_options";
    const LEAST_SIZE: usize = offset_of!(vcp_dial_options, deadline_at_ms);
}

const DEFAULTS: vcp_dial_options = vcp_dial_options {
    size: size_of::<vcp_dial_options>(),
    timeout_ms: VCP_POOL_DEFAULT,
    wait_timeout_ms: VCP_POOL_DEFAULT,
    cancel: std::ptr::null_mut(),
    reuse_tag: std::ptr::null(),
    label: std::ptr::null(),
    flags: 0,
    deadline_at_ms: i64::MAX,
};

/// ---- DIALING ----
///
/// A dial borrows a connection: an idle one, or a new one. These are its networks and addresses, as
/// in Go:
///
///     tcp tcp4 tcp6 udp udp4 udp6   host:port, [v6%zone]:port, or :port, which is this machine
///                                   (127.0.0.1, or ::1 for networks that end in 6). The name of a
///                                   service may stand for the port (services(5)); 0 is a port.
///     unix unixgram unixpacket      a path, or @name in the abstract namespace; at most 107 bytes
///     ip4:icmp ip6:58 ip:1 ...      a host, for a raw socket of that protocol
///
/// A literal address of another family than its network's, as tcp4 and [::1]:80, is
/// VCP_ERR_RESOLVE. An IPv4 address mapped into IPv6 is taken as IPv4, as in Go.
///
/// RESOLVING. A name is looked up for new connections only, by one getaddrinfo(3) for both
/// families, so that the hosts file, search domains and nsswitch.conf(5) hold. It runs on a thread
/// of the library if the dial has a deadline or a token, and the dial ends on time even if the name
/// server hangs. Dials of one name at the same time share one lookup. At most 64 names are looked
/// up at once; those that timed out within the last minute get at most half of these places. Of
/// each family the first 256 addresses of a name are tried.
///
/// RACING. The addresses of a name are tried as RFC 8305 says. The order is the system's (RFC
/// 6724), with the families taking turns (RFC 8305, section 4). The next attempt begins
/// fallback_delay_ms after the last one, or at once when one fails (section 5). At most 6 run at
/// once; the oldest gives way after 2 s. The first to connect wins, and the others are closed. If a
/// resolve callback adds IPv4 first, IPv6 has 50 ms to follow (section 3). An address that failed
/// within the last minute, or had not answered when another won, is tried last.
///
/// REUSE WHILE DIALING. A dial that connects, and is not FRESH, is answered by whatever comes
/// first: its own new connection, or one that another borrower gives back to the same destination.
/// In the second case its own connect goes on in the background, for the next dial; if that fails,
/// no dial fails by it. A dial that runs a dial or open_session callback on its own thread (with
/// neither deadline nor token also resolve) waits until that returns, whatever is given back
/// meanwhile; asynchronous dials do not.
///
/// ----
///
/// START HERE. Fills the options with their defaults. Pass sizeof *options as size.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if options is NULL, or size is shorter than version 0.1's or
/// longer than 64 KiB; nothing is written then.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial_options_init(
    options: *mut vcp_dial_options,
    size: usize,
) -> c_int {
    // SAFETY: the program promises `size` writable bytes.
    guard(|| unsafe { sized_struct::write(options, size, DEFAULTS) })
}

fn refuse_clash(flags: u32, one: (u32, &str), other: (u32, &str)) -> Result<()> {
    if flags & one.0 != 0 && flags & other.0 != 0 {
        return Err(Error::invalid_argument(format!(
            "flags: {} and {} exclude each other",
            one.1, other.1
        )));
    }
    Ok(())
}

fn validate(raw: &vcp_dial_options) -> Result<()> {
    let flags = raw.flags;
    if flags & !ALL_FLAGS != 0 {
        return Err(Error::invalid_argument(format!(
            "flags: unknown bits {:#x}",
            flags & !ALL_FLAGS
        )));
    }
    refuse_clash(
        flags,
        (VCP_DIAL_FRESH, "VCP_DIAL_FRESH"),
        (VCP_DIAL_REUSE_ONLY, "VCP_DIAL_REUSE_ONLY"),
    )?;
    refuse_clash(
        flags,
        (VCP_DIAL_BLOCKING, "VCP_DIAL_BLOCKING"),
        (VCP_DIAL_NONBLOCKING, "VCP_DIAL_NONBLOCKING"),
    )?;
    timeout_or_pools(raw.timeout_ms, "timeout_ms", None)?;
    timeout_or_pools(raw.wait_timeout_ms, "wait_timeout_ms", None)?;
    Ok(())
}

pub(crate) unsafe fn read_options(options: *const vcp_dial_options) -> Result<vcp_dial_options> {
    let raw = if options.is_null() {
        DEFAULTS
    } else {
        // SAFETY: the caller's promise.
        unsafe { sized_struct::read(options, DEFAULTS) }?
    };
    validate(&raw)?;
    Ok(raw)
}
