//! A dial's options: the C struct, its defaults, and what is refused.

use std::ffi::{c_char, c_int};
use std::mem::offset_of;

use crate::ffi::arguments::sized_struct::{self, SizedStruct};
use crate::ffi::arguments::time::timeout_or_pools;
use crate::ffi::basics::times::VCP_POOL_DEFAULT;
use crate::ffi::guard::guard;
use crate::ffi::handles::vcp_cancel;
use crate::values::error::{Error, Result};

/// A bit of vcp_dial_options.flags.
pub type vcp_dial_flag = u32;

/// Never reuse: dial a new connection (Go: PriorityContextKey).
pub const VCP_DIAL_FRESH: vcp_dial_flag = 1;
/// Never dial, never wait: VCP_ERR_NOT_AVAILABLE when nothing is idle.
pub const VCP_DIAL_REUSE_ONLY: vcp_dial_flag = 2;
/// vcp_dial_async only: every answer comes through the queue, what could be had at once too.
pub const VCP_DIAL_QUEUED: vcp_dial_flag = 4;
/// The descriptor is in non-blocking mode for this borrow.
pub const VCP_DIAL_NONBLOCKING: vcp_dial_flag = 8;
/// The descriptor is in blocking mode for this borrow.
pub const VCP_DIAL_BLOCKING: vcp_dial_flag = 16;

const ALL_FLAGS: u32 = VCP_DIAL_FRESH
    | VCP_DIAL_REUSE_ONLY
    | VCP_DIAL_QUEUED
    | VCP_DIAL_NONBLOCKING
    | VCP_DIAL_BLOCKING;

/// What one dial may change. Fill it with vcp_dial_options_init; the default of each field stands
/// in brackets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_dial_options {
    /// sizeof(vcp_dial_options), set by _init.
    pub size: usize,
    /// [INT64_MIN: the pool's dial_timeout_ms] < 0: none; 0: passed already, the dial fails even if
    /// something is idle.
    pub timeout_ms: i64,
    /// [INT64_MIN: the pool's] < 0: as long as the dial may take; 0: not at all.
    pub wait_timeout_ms: i64,
    /// [NULL] Ends the dial when it fires; one that has fired already fails it even if something is
    /// idle.
    pub cancel: *mut vcp_cancel,
    /// [NULL = ""] Connections are reused only under the same tag (a user, a TLS configuration); at
    /// most 1,024 bytes.
    pub reuse_tag: *const c_char,
    /// [NULL = ""] Names the borrower in events and leak reports; at most 1,024 bytes.
    pub label: *const c_char,
    /// [0] VCP_DIAL_* bits.
    pub flags: u32,
    /// [INT64_MAX: none] An absolute time (vcp_now_ms): the earlier of this and timeout_ms ends the
    /// dial. One that has passed, and any below zero, fails the dial even if something is idle.
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

/// Fills the options with their defaults. size is sizeof *options.
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
