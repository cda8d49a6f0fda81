//! Times, as the C interface passes them: milliseconds.

use std::time::Duration;

use crate::ffi::basics::times::{VCP_FOREVER, VCP_POOL_DEFAULT};
use crate::values::clock::Deadline;
use crate::values::error::{Error, Result};

/// How long something may take; `None`: without a limit (VCP_FOREVER). Any other negative number is
/// refused: a remainder that has run below zero must not become "for ever".
pub(crate) fn timeout(ms: i64, field: &str) -> Result<Option<Duration>> {
    match u64::try_from(ms) {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) if ms == VCP_FOREVER => Ok(None),
        Err(_) => Err(Error::invalid_argument(format!(
            "{field}: {ms} is negative, and not VCP_FOREVER (-1)"
        ))),
    }
}

/// [`timeout`] where 0 means "no limit" or "off", and VCP_FOREVER the same: both are `None`.
pub(crate) fn timeout_or_off(ms: i64, field: &str) -> Result<Option<Duration>> {
    Ok(timeout(ms, field)?.filter(|time| !time.is_zero()))
}

/// [`timeout`] of one dial; VCP_POOL_DEFAULT is the pool's own.
pub(crate) fn timeout_or_pools(
    ms: i64,
    field: &str,
    pools: Option<Duration>,
) -> Result<Option<Duration>> {
    if ms == VCP_POOL_DEFAULT {
        return Ok(pools);
    }
    timeout(ms, field)
}

/// A point in time on the clock of vcp_now_ms; INT64_MAX: none. One below zero has passed.
pub(crate) fn deadline_at(at_ms: i64) -> Deadline {
    if at_ms == i64::MAX {
        Deadline::NEVER
    } else {
        Deadline::at_ms(at_ms)
    }
}
