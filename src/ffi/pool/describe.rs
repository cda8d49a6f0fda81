//! Reports.

use std::ffi::c_char;

use crate::ffi::arguments::text;
use crate::ffi::guard::guard;
use crate::ffi::handles::{pool_of, vcp_pool};
use crate::pool::report::describe::Form;
use crate::values::error::Error;

/// The form of a report.
pub type vcp_format = i32;

/// For a person.
pub const VCP_FORMAT_TEXT: vcp_format = 0;
/// JSON.
pub const VCP_FORMAT_JSON: vcp_format = 1;
/// OpenMetrics, a whole scrape.
pub const VCP_FORMAT_OPENMETRICS: vcp_format = 2;
/// OpenMetrics, samples only, to be joined with others: no TYPE, no EOF lines.
pub const VCP_FORMAT_OPENMETRICS_BODY: vcp_format = 3;

/// Writes a report into buffer, terminated, and returns its whole length in bytes without the NUL,
/// as snprintf(3): if that is not below size the text was cut off, and the call is to be repeated
/// with more room (and again: the pool goes on). buffer may be NULL if size is 0. Every form
/// carries the pool's name. TEXT and JSON list destinations and, with leak_threshold_ms, what is
/// borrowed for too long; OPENMETRICS (version 1.0) has the pool's numbers only, labelled
/// pool="name". The layout of TEXT may change; names in the other two do not.
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
        // SAFETY: the program promises `size` writable bytes.
        unsafe { text::write_out(&pool.describe(form), buffer, size) }
    })
}
