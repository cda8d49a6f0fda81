//! What a dial is asked for: its destination and its options, in the library's own types.

use std::time::Duration;

use super::options::{
    read_options, vcp_dial_options, VCP_DIAL_BLOCKING, VCP_DIAL_FRESH, VCP_DIAL_NONBLOCKING,
    VCP_DIAL_QUEUED, VCP_DIAL_REUSE_ONLY,
};
use crate::dial::resolve::names::NamesAtHand;
use crate::ffi::arguments::address::Asked;
use crate::ffi::arguments::{text, time};
use crate::ffi::handles::token_of;
use crate::pool::entry::start_async::{AsyncTarget, UnparsedAddress};
use crate::pool::runtime::runtime;
use crate::pool::state::answer::Reuse;
use crate::pool::thread_cache::{self, KeyRef};
use crate::pool::{BorrowOptions, Mode, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::address::Address;
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result, Status};

fn refuse_queued(raw: &vcp_dial_options) -> Result<()> {
    if raw.flags & VCP_DIAL_QUEUED != 0 {
        return Err(Error::invalid_argument(
            "flags: VCP_DIAL_QUEUED is for vcp_dial_async",
        ));
    }
    Ok(())
}

/// Reads what a dial is asked for.
///
/// # Safety
/// The texts are NULL or NUL-terminated.
pub(crate) unsafe fn read_dial(
    pool: &Pool,
    asked: Asked,
    raw: vcp_dial_options,
    known: &Option<KeyRef<'_>>,
) -> Result<(Arc<Destination>, BorrowOptions)> {
    refuse_queued(&raw)?;
    let destination = match known.as_ref().and_then(thread_cache::destination) {
        Some(destination) => destination,
        // SAFETY: the caller's promise.
        None => Arc::new(unsafe { asked.destination(raw.reuse_tag) }?),
    };
    // SAFETY: as above.
    Ok((destination, unsafe { borrow_options(&raw, pool) }?))
}

/// Reads what a dial is asked for that must not block: a service name that was not seen before is
/// looked up later. True: everything goes through the queue.
///
/// # Safety
/// As [`read_dial`].
pub(crate) unsafe fn read_async(
    pool: &Pool,
    asked: Asked,
    options: *const vcp_dial_options,
) -> Result<(AsyncTarget, BorrowOptions, bool)> {
    let (network, address) = asked.texts()?;
    // SAFETY: the caller's promises.
    let (raw, tag) = unsafe {
        let raw = read_options(options)?;
        let tag = text::optional(raw.reuse_tag, "reuse_tag", Status::InvalidArgument)?;
        (raw, tag.unwrap_or_default())
    };
    let names = NamesAtHand::new(&runtime().names);
    let at_once = Address::parse(network, address, &names);
    let place = if names.lacked_one() {
        let (network, address) = (network.to_owned(), address.to_owned());
        let tag: Box<str> = tag.into();
        let read = move || {
            let address = runtime().names.parse(&network, &address)?;
            Ok(Destination::new(address, &tag))
        };
        AsyncTarget::Unparsed(UnparsedAddress {
            asked: asked.describe().into(),
            read: Box::new(read),
        })
    } else {
        AsyncTarget::Known(Destination::new(at_once?, tag))
    };
    let is_queued = raw.flags & VCP_DIAL_QUEUED != 0;
    // SAFETY: as above.
    Ok((place, unsafe { borrow_options(&raw, pool) }?, is_queued))
}

/// When a dial has to end.
struct Times {
    deadline: Deadline,
    wait_until: Option<Deadline>,
    is_late: bool,
    blames_destination: bool,
}

impl Times {
    fn read(raw: &vcp_dial_options, pool: &Pool) -> Result<Self> {
        let own =
            time::timeout_or_pools(raw.timeout_ms, "timeout_ms", pool.options().dial.timeout)?;
        let wait = time::timeout_or_pools(
            raw.wait_timeout_ms,
            "wait_timeout_ms",
            pool.settings().wait_timeout(),
        )?;
        let now = clock::now();
        let deadline = time::deadline_at(raw.deadline_at_ms).min(Deadline::from_timeout(now, own));
        Ok(Self {
            deadline,
            wait_until: (wait != Some(Duration::ZERO))
                .then(|| Deadline::from_timeout(now, wait).min(deadline)),
            is_late: deadline.has_passed(now),
            blames_destination: deadline
                >= Deadline::from_timeout(now, pool.options().dial.timeout),
        })
    }
}

/// # Safety
/// The label is NULL or NUL-terminated.
unsafe fn borrow_options(raw: &vcp_dial_options, pool: &Pool) -> Result<BorrowOptions> {
    // SAFETY: the caller's promise.
    let label = unsafe { text::optional(raw.label, "label", Status::InvalidArgument) }?;
    let label = label.map(Arc::from);
    if raw.flags & (VCP_DIAL_BLOCKING | VCP_DIAL_NONBLOCKING) != 0 && pool.opens_sessions() {
        return Err(Error::invalid_argument(
            "flags: the mode of a session's descriptor is its driver's",
        ));
    }
    let times = Times::read(raw, pool)?;
    Ok(BorrowOptions {
        reuse: match raw.flags & (VCP_DIAL_FRESH | VCP_DIAL_REUSE_ONLY) {
            0 => Reuse::Allowed,
            VCP_DIAL_FRESH => Reuse::Never,
            _ => Reuse::Only,
        },
        deadline: times.deadline,
        wait_until: times.wait_until,
        is_late: times.is_late,
        blames_destination: times.blames_destination,
        token: token_of(raw.cancel)?,
        reply: None,
        label,
        mode: match raw.flags & (VCP_DIAL_BLOCKING | VCP_DIAL_NONBLOCKING) {
            0 => Mode::AsThePool,
            VCP_DIAL_NONBLOCKING => Mode::Nonblocking,
            _ => Mode::Blocking,
        },
        found_unfit: 0,
    })
}
