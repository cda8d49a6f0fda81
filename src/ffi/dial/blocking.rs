//! `vcp_dial` and `vcp_dial_with`.

use std::ffi::{c_char, c_int};

use crate::dial::resolve::names::NamesAtHand;
use crate::ffi::arguments::sized_struct::{self, Record};
use crate::ffi::arguments::text;
use crate::ffi::cancel::{token_of, vcp_cancel};
use crate::ffi::conn::borrow::vcp_conn;
use crate::ffi::guard::guard;
use crate::ffi::pool::lifecycle::{destination_of, pool_of, vcp_pool};
use crate::pool::entry::fast_hit;
use crate::pool::entry::start_async::Where;
use crate::pool::hints::{self, Key, Named};
use crate::pool::runtime::runtime;
use crate::pool::state::answer::Reuse;
use crate::pool::{BorrowOptions, Mode, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::sys::text::Text;
use crate::values::address::Address;
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result, Status};

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

/// The pool's own setting.
const AS_THE_POOL: i64 = i64::MIN;

/// What one dial may change. Fill it with vcp_dial_options_init; the default of each field stands in brackets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_dial_options {
    /// sizeof(vcp_dial_options), set by _init.
    pub size: usize,
    /// [INT64_MIN: the pool's dial_timeout_ms] < 0: none; 0: passed already, the dial fails even if something is idle.
    pub timeout_ms: i64,
    /// [INT64_MIN: the pool's] < 0: as long as the dial may take; 0: not at all.
    pub wait_timeout_ms: i64,
    /// [NULL] Ends the dial when it fires; one that has fired already fails it even if something is idle.
    pub cancel: *mut vcp_cancel,
    /// [NULL = ""] Connections are reused only under the same tag (a user, a TLS configuration); at most 1,024 bytes.
    pub reuse_tag: *const c_char,
    /// [NULL = ""] Names the borrower in events and leak reports; at most 1,024 bytes.
    pub label: *const c_char,
    /// [0] VCP_DIAL_* bits.
    pub flags: u32,
}

// SAFETY: repr(C), size first, integers and pointers only.
unsafe impl Record for vcp_dial_options {
    const NAME: &'static str = "vcp_dial_options";
    const LEAST_SIZE: usize = size_of::<vcp_dial_options>();
}

const DEFAULTS: vcp_dial_options = vcp_dial_options {
    size: size_of::<vcp_dial_options>(),
    timeout_ms: AS_THE_POOL,
    wait_timeout_ms: AS_THE_POOL,
    cancel: std::ptr::null_mut(),
    reuse_tag: std::ptr::null(),
    label: std::ptr::null(),
    flags: 0,
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

fn judge(raw: &vcp_dial_options) -> Result<()> {
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
    Ok(())
}

fn refuse_queued(raw: &vcp_dial_options) -> Result<()> {
    if raw.flags & VCP_DIAL_QUEUED != 0 {
        return Err(Error::invalid_argument(
            "flags: VCP_DIAL_QUEUED is for vcp_dial_async",
        ));
    }
    Ok(())
}

/// vcp_dial_with with all defaults.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    conn: *mut *mut vcp_conn,
) -> c_int {
    // SAFETY: the program's promises.
    unsafe {
        match quick_dial(pool, network, address, std::ptr::null(), conn) {
            Ok(fd) => fd,
            Err(missed) => dial(pool, network, address, std::ptr::null(), conn, missed),
        }
    }
}

/// Borrows a connection: an idle one of the destination that is fit, else a new one. Returns its descriptor, which is
/// borrowed (never close(2) it), and sets *conn; a failure sets *conn to NULL.
///
/// Networks, as Go: tcp tcp4 tcp6 udp udp4 udp6 unix unixgram unixpacket, and raw ip ip4 ip6 with their protocol
/// (ip4:icmp, ip6:58). Addresses: host:port, [v6%zone]:port, :port (loopback: 127.0.0.1, or ::1 for the 6 networks), service
/// names for ports (services(5)); a path or @abstract for unix networks, at most 107 bytes; a bare host for ip networks.
/// An empty port is invalid, port 0 is dialed as given. A literal of the wrong family (tcp4, [::1]:80) is
/// VCP_ERR_RESOLVE. IPv4 mapped into IPv6 is IPv4, as in Go.
///
/// Resolving. A name is looked up only for a new connection, by one getaddrinfo(3) for both families (hosts file, search domains
/// and nsswitch.conf(5) hold), on a thread of the library: the dial ends on time even if the name server hangs. Dials of one name at
/// the same time share one lookup; what it answers too late is dropped, or kept for dns_cache_ms. At most 64 names are looked
/// up at once; names that timed out within the last minute get at most half of these places.
///
/// Racing. A name's addresses are tried as RFC 8305 has it: families interleaved after the system's order (RFC 6724), the first
/// one's family first; the next one after fallback_delay_ms (section 5), or at once when one fails; at most 6 at once, of which
/// the oldest makes room after 2 s; the first to connect wins and the others are closed. Where a resolve callback delivers IPv4 first, IPv6 gets 50 ms to arrive
/// (section 3). An address that failed within the last minute, or was unanswered when another one won, is tried last.
///
/// Errors. VCP_ERR_CONNECT names every address tried with its error, and vcp_last_errno() is the first address's.
/// VCP_ERR_TIMEOUT: vcp_last_phase() says whether it was waiting, resolving, connecting or opening (in a hook). VCP_ERR_POOL_EXHAUSTED: at a limit,
/// and not waiting. VCP_ERR_CANCELED: the token fired. VCP_ERR_CALLBACK: a callback refused. VCP_ERR_SYSTEM: no
/// descriptor, memory or thread was to be had; on EMFILE the longest idle connection is closed first and the dial tries once more.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial_with(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    conn: *mut *mut vcp_conn,
) -> c_int {
    // SAFETY: the program's promises.
    unsafe {
        match hit_at_once(pool, network, address, options, conn) {
            Ok(fd) => fd,
            Err(missed) => dial(pool, network, address, options, conn, missed),
        }
    }
}

/// What is dialed, as it was passed; `None` if it is not whole.
///
/// # Safety
/// Each text is NULL or NUL-terminated, and lives as long as the key.
#[inline(always)]
unsafe fn key<'a>(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    reuse_tag: *const c_char,
) -> Option<Key<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        Some(Key {
            pool: pool as usize,
            network: Text::new(network)?,
            address: Text::new(address)?.bytes(),
            tag: Text::new(reuse_tag).map(Text::bytes),
        })
    }
}

/// The hit that is nothing but that (`pool::quick`). Where it is it needs no guard: nothing in it can panic, block or be canceled.
///
/// # Safety
/// Each text is NULL or NUL-terminated; `conn` is NULL or writable.
#[inline(always)]
unsafe fn quick_dial(
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

const UNFIT: c_int = 0;
const FIT: c_int = 1;

/// There was no such hit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed {
    /// So many were found, and unfit.
    pub(crate) unfit: u32,
}

impl Missed {
    const NONE: Self = Self { unfit: 0 };
}

/// Or why the whole call fails: code of the program that runs when an unfit one is closed may have forked.
#[cold]
#[inline(never)]
fn is_fit(handle: usize) -> c_int {
    guard(|| Ok(if fast_hit::is_fit(handle) { FIT } else { UNFIT }))
}

/// The same with options.
///
/// # Safety
/// As [`vcp_dial_with`].
#[inline(always)]
pub(crate) unsafe fn hit_at_once(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    conn: *mut *mut vcp_conn,
) -> std::result::Result<c_int, Missed> {
    // SAFETY: the caller's promise.
    unsafe {
        let tag = plain_tag(options).ok_or(Missed::NONE)?;
        quick_dial(pool, network, address, tag, conn)
    }
}

/// The name that the next dial of this text may be such a hit by.
///
/// # Safety
/// As [`vcp_dial_with`].
pub(crate) unsafe fn named(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
) -> Option<Named> {
    // SAFETY: the caller's promise.
    let key = unsafe {
        let tag = read_options(options).map_or(std::ptr::null(), |raw| raw.reuse_tag);
        key(pool, network, address, tag)
    };
    Named::new(&key?)
}

/// The tag, if nothing else in the options keeps a dial from taking what is idle, or tells of it.
///
/// # Safety
/// NULL, or as big as its size field says.
unsafe fn plain_tag(options: *const vcp_dial_options) -> Option<*const c_char> {
    // SAFETY: the caller's promise.
    let raw = unsafe { read_options(options) }.ok()?;
    let is_plain = raw.timeout_ms != 0
        && raw.cancel.is_null()
        && raw.label.is_null()
        && raw.flags & !VCP_DIAL_REUSE_ONLY == 0;
    is_plain.then_some(raw.reuse_tag)
}

/// # Safety
/// As [`vcp_dial_with`].
#[cold]
#[inline(never)]
unsafe fn dial(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    conn: *mut *mut vcp_conn,
    missed: Missed,
) -> c_int {
    guard(|| {
        if conn.is_null() {
            return Err(Error::invalid_argument("conn is NULL"));
        }
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *conn = std::ptr::null_mut() };
        // SAFETY: the program's promises.
        let (borrowed, name) = unsafe {
            let owner = pool_of(pool)?;
            let raw = read_options(options)?;
            let key = key(pool, network, address, raw.reuse_tag);
            let (destination, mut borrow) = read_dial(&owner, network, address, raw, &key)?;
            borrow.found_unfit = missed.unfit;
            // Before a callback runs, which may change the texts.
            let name = key.as_ref().and_then(Named::new);
            (owner.borrow(&destination, &borrow)?, name)
        };
        let fd = borrowed.raw_fd();
        if let Some(name) = name {
            hints::note(name, &borrowed);
        }
        // SAFETY: as above.
        unsafe { *conn = borrowed.lend_out() as *mut vcp_conn };
        Ok(fd)
    })
}

/// Reads what a dial is asked for.
///
/// # Safety
/// The texts are NULL or NUL-terminated.
pub(crate) unsafe fn read_dial(
    pool: &Pool,
    network: *const c_char,
    address: *const c_char,
    raw: vcp_dial_options,
    known: &Option<Key<'_>>,
) -> Result<(Arc<Destination>, BorrowOptions)> {
    refuse_queued(&raw)?;
    let destination = match known.as_ref().and_then(hints::destination) {
        Some(destination) => destination,
        // SAFETY: the caller's promise.
        None => Arc::new(unsafe { destination_of(network, address, raw.reuse_tag) }?),
    };
    // SAFETY: as above.
    Ok((destination, unsafe { borrow_options(&raw, pool) }?))
}

/// The same for a dial that must not block: a service name that was not seen before is read later. True: everything goes through the
/// queue.
///
/// # Safety
/// As [`read_dial`].
pub(crate) unsafe fn read_async(
    pool: &Pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
) -> Result<(Where, BorrowOptions, bool)> {
    // SAFETY: the caller's promises.
    let (raw, network, address, tag) = unsafe {
        let raw = read_options(options)?;
        let network = text::required(network, "network", Status::UnknownNetwork)?;
        let address = text::required(address, "address", Status::InvalidAddress)?;
        let tag = text::optional(raw.reuse_tag, "reuse_tag", Status::InvalidArgument)?;
        (raw, network, address, tag.unwrap_or_default())
    };
    let names = NamesAtHand::new(&runtime().names);
    let at_once = Address::parse(network, address, &names);
    let place = if names.lacked_one() {
        let (network, address) = (network.to_owned(), address.to_owned());
        let tag: Box<str> = tag.into();
        let read = move || {
            let address = Address::parse(&network, &address, &runtime().names)?;
            Ok(Destination::new(address, &tag))
        };
        Where::Unread(Box::new(read))
    } else {
        Where::Known(Destination::new(at_once?, tag))
    };
    let is_queued = raw.flags & VCP_DIAL_QUEUED != 0;
    // SAFETY: as above.
    Ok((place, unsafe { borrow_options(&raw, pool) }?, is_queued))
}

pub(crate) unsafe fn read_options(options: *const vcp_dial_options) -> Result<vcp_dial_options> {
    let raw = if options.is_null() {
        DEFAULTS
    } else {
        // SAFETY: the caller's promise.
        unsafe { sized_struct::read(options, DEFAULTS) }?
    };
    judge(&raw)?;
    Ok(raw)
}

/// # Safety
/// The label is NULL or NUL-terminated.
unsafe fn borrow_options(raw: &vcp_dial_options, pool: &Pool) -> Result<BorrowOptions> {
    // SAFETY: the caller's promise.
    let label = unsafe { text::optional(raw.label, "label", Status::InvalidArgument) }?;
    let label = label.map(Arc::from);
    let timeout_ms = match raw.timeout_ms {
        AS_THE_POOL => pool.options().dial.timeout_ms,
        own => own,
    };
    let pools_timeout_ms = pool.options().dial.timeout_ms;
    let wait_timeout_ms = match raw.wait_timeout_ms {
        AS_THE_POOL => pool.options().wait_timeout_ms,
        own => own,
    };
    let now = clock::now();
    let deadline = Deadline::from_timeout(now, timeout_ms);
    Ok(BorrowOptions {
        reuse: match raw.flags & (VCP_DIAL_FRESH | VCP_DIAL_REUSE_ONLY) {
            0 => Reuse::Allowed,
            VCP_DIAL_FRESH => Reuse::Never,
            _ => Reuse::Only,
        },
        deadline,
        wait_until: (wait_timeout_ms != 0)
            .then(|| Deadline::from_timeout(now, wait_timeout_ms).min(deadline)),
        is_late: timeout_ms == 0,
        is_patient: timeout_ms < 0 || (pools_timeout_ms >= 0 && timeout_ms >= pools_timeout_ms),
        token: token_of(raw.cancel)?,
        claim: None,
        label,
        mode: match raw.flags & (VCP_DIAL_BLOCKING | VCP_DIAL_NONBLOCKING) {
            0 => Mode::AsThePool,
            VCP_DIAL_NONBLOCKING => Mode::Nonblocking,
            _ => Mode::Blocking,
        },
        found_unfit: 0,
    })
}
