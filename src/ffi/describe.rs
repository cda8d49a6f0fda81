//! Reports.

use std::ffi::c_char;

use super::guard::guard;
use super::pool::{not_supported_yet, pool_of, vcp_pool};
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

/// Not supported yet: VCP_ERR_INVALID_ARGUMENT. Will write a report.
#[no_mangle]
pub unsafe extern "C" fn vcp_pool_describe(
    pool: *mut vcp_pool,
    format: i32,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    guard(|| {
        let _ = (pool_of(pool)?, buffer, size);
        match format {
            VCP_FORMAT_TEXT..=VCP_FORMAT_OPENMETRICS_BODY => not_supported_yet("vcp_pool_describe"),
            _ => Err(Error::invalid_argument(format!(
                "format: {format} is no vcp_format"
            ))),
        }
    })
}
