//! The fast path of a dial: a hit that is nothing but that.

use std::ffi::{c_char, c_int};

use super::options::{read_options, vcp_dial_options, VCP_DIAL_REUSE_ONLY};
use crate::ffi::guard::guard;
use crate::ffi::handles::{vcp_conn, vcp_pool};
use crate::pool::entry::fast_hit;
use crate::pool::thread_cache::{KeyRef, OwnedKey};
use crate::sys::clock;
use crate::sys::foreign::text::Text;

/// What is dialed, as it was passed; `None` if it is not whole.
///
/// # Safety
/// Each text is NULL or NUL-terminated, and lives as long as the key.
#[inline(always)]
pub(crate) unsafe fn key<'a>(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> Option<KeyRef<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        Some(KeyRef {
            pool: pool as usize,
            network: Text::new(network)?,
            address: Text::new(address)?.bytes(),
            tag: Text::new(reuse_tag).map(Text::bytes),
        })
    }
}

/// The hit that is nothing but that (`pool::entry::fast_hit`). Where it is it needs no guard:
/// nothing in it can panic, block or be canceled.
///
/// # Safety
/// Each text is NULL or NUL-terminated; `conn` is NULL or writable.
#[inline(always)]
pub(crate) unsafe fn fast_dial(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
    conn: *mut *mut vcp_conn,
) -> std::result::Result<c_int, Missed> {
    if conn.is_null() {
        return Err(Missed::NONE);
    }
    // SAFETY: the caller's promise.
    let Some(key) = (unsafe { key(pool, network, address, reuse_tag) }) else {
        return Err(Missed::NONE);
    };
    let Some(hit) = fast_hit::borrow(&key) else {
        return Err(Missed::NONE);
    };
    let mut handle = hit.handle;
    let mut answer = hit.fd;
    if hit.needs_peek && !fast_hit::is_quiet(&hit) {
        match is_fit(handle) {
            FIT => {}
            UNFIT => return Err(Missed { unfit: 1 }),
            status => (handle, answer) = (0, status),
        }
    }
    // SAFETY: not NULL, and writable by the caller's promise.
    unsafe { *conn = handle as *mut vcp_conn };
    Ok(answer)
}

pub(crate) const UNFIT: c_int = 0;
const FIT: c_int = 1;

/// There was no such hit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed {
    /// So many were found, and unfit.
    pub(crate) unfit: u32,
}

impl Missed {
    pub(crate) const NONE: Self = Self { unfit: 0 };
}

/// Or why the whole call fails: code of the program that runs when an unfit one is closed may have
/// forked.
#[cold]
#[inline(never)]
fn is_fit(handle: usize) -> c_int {
    guard(|| Ok(if fast_hit::is_fit(handle) { FIT } else { UNFIT }))
}

/// The fast path of a dial with options: only where they ask for nothing but a tag.
///
/// # Safety
/// As [`vcp_dial_with`].
#[inline(always)]
pub(crate) unsafe fn try_fast_path(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    conn: *mut *mut vcp_conn,
) -> std::result::Result<c_int, Missed> {
    // SAFETY: the caller's promise.
    unsafe {
        let tag = plain_tag(options).ok_or(Missed::NONE)?;
        fast_dial(pool, network, address, tag, conn)
    }
}

/// The name that the next dial of this text may be such a hit by.
///
/// # Safety
/// As [`vcp_dial_with`].
pub(crate) unsafe fn name_for_next(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
) -> Option<OwnedKey> {
    // SAFETY: the caller's promise.
    let key = unsafe {
        let tag = read_options(options).map_or(std::ptr::null(), |raw| raw.reuse_tag);
        key(pool, network, address, tag)
    };
    OwnedKey::new(&key?)
}

/// The tag, if nothing else in the options keeps a dial from taking what is idle, or tells of it.
///
/// # Safety
/// NULL, or as big as its size field says.
unsafe fn plain_tag(options: *const vcp_dial_options) -> Option<*const c_char> {
    // SAFETY: the caller's promise.
    let raw = unsafe { read_options(options) }.ok()?;
    let is_plain = raw.timeout_ms != 0
        && (raw.deadline_at_ms == i64::MAX || raw.deadline_at_ms > clock::now().millis())
        && raw.cancel.is_null()
        && raw.label.is_null()
        && raw.flags & !VCP_DIAL_REUSE_ONLY == 0;
    is_plain.then_some(raw.reuse_tag)
}
