//! Reports.

use std::ffi::c_char;

use crate::ffi::arguments::text;
use crate::ffi::guard::{guard, refuse_if_short};
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::report::describe::Form;
use crate::values::error::Error;

/// The form of a report: one of the VCP_FORMAT_* numbers.
pub type vcp_format = i32;

/// ---- FORMS OF A REPORT ----
///
/// vcp_pool_describe takes these numbers.
///
/// ----
///
/// Text for a person. Its layout may change.
pub const VCP_FORMAT_TEXT: i32 = 0;
/// One JSON object. Its names do not change.
pub const VCP_FORMAT_JSON: i32 = 1;
/// OpenMetrics 1.0, a whole scrape. Its names do not change.
pub const VCP_FORMAT_OPENMETRICS: i32 = 2;
/// OpenMetrics 1.0, the samples alone, to be joined with those of others: no TYPE and no EOF lines.
pub const VCP_FORMAT_OPENMETRICS_BODY: i32 = 3;

/// Writes a report on the pool to buffer, as snprintf(3) does: terminated, and cut off if size is
/// too small. Returns its whole length without the NUL. While the result is not below size, call
/// again with more room: the pool goes on meanwhile, and may have grown. buffer may be NULL if size
/// is 0.
///
/// Every form has the pool's name. TEXT and JSON list the destinations and, with leak_threshold_ms,
/// what has been borrowed for too long. The OPENMETRICS forms have the pool's numbers only,
/// labelled pool="name".
///
/// Example:
///
///     char report[4096];
///     if (vcp_pool_describe(pool, VCP_FORMAT_TEXT, report, sizeof report) >= 0)
///         fputs(report, stderr);
///
/// Errors: VCP_ERR_INVALID_HANDLE, VCP_ERR_POOL_CLOSED, VCP_ERR_NO_MEMORY; VCP_ERR_INVALID_ARGUMENT
/// if format is unknown, or buffer is NULL and size is not 0.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_describe(
    pool: *mut vcp_pool,
    format: i32,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    guard(|| {
        let pool = pool_of(pool)?;
        let form = match format {
            VCP_FORMAT_TEXT => Form::Text,
            VCP_FORMAT_JSON => Form::Json,
            VCP_FORMAT_OPENMETRICS => Form::OpenMetrics,
            VCP_FORMAT_OPENMETRICS_BODY => Form::OpenMetricsBody,
            _ => {
                return Err(Error::invalid_argument(format!(
                    "format: {format} is no vcp_format"
                )))
            }
        };
        refuse_if_short()?;
        // SAFETY: the program promises `size` writable bytes.
        unsafe { text::write_out(&pool.describe(form)?, buffer, size) }
    })
}
