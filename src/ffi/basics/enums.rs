//! The enums of a pool's options.

use crate::values::error::{Error, Result};
use crate::values::options::{Liveness, ReuseOrder};

/// How a connection is looked at before it is handed out again.
pub type vcp_liveness = i32;

/// One recv(MSG_PEEK | MSG_DONTWAIT): end of stream, an error or unread bytes close it, and the
/// next one is tried.
pub const VCP_LIVENESS_STRICT: vcp_liveness = 0;
/// As VCP_LIVENESS_STRICT, but unread bytes are fine (TLS session tickets).
pub const VCP_LIVENESS_ALLOW_DATA: vcp_liveness = 1;
/// No system call: the background watch alone decides; a hang-up is seen within 20 ms on an idle
/// machine.
pub const VCP_LIVENESS_WATCH: vcp_liveness = 2;

/// Which idle connection is handed out first.
pub type vcp_reuse_order = i32;

/// The one given back last: the others can grow old and go. A thread takes first the one that it
/// gave back last itself under the same spelling of network, address and tag, if that is still
/// there: two threads that go on using their own disturb each other as little as can be.
pub const VCP_REUSE_LIFO: vcp_reuse_order = 0;
/// The one idle for longest: all of them stay in use.
pub const VCP_REUSE_FIFO: vcp_reuse_order = 1;

pub(crate) fn liveness(number: i32) -> Result<Liveness> {
    match number {
        VCP_LIVENESS_STRICT => Ok(Liveness::Strict),
        VCP_LIVENESS_ALLOW_DATA => Ok(Liveness::AllowData),
        VCP_LIVENESS_WATCH => Ok(Liveness::Watch),
        _ => Err(Error::invalid_argument(format!(
            "liveness: {number} is no vcp_liveness"
        ))),
    }
}

pub(crate) fn reuse_order(number: i32) -> Result<ReuseOrder> {
    match number {
        VCP_REUSE_LIFO => Ok(ReuseOrder::Lifo),
        VCP_REUSE_FIFO => Ok(ReuseOrder::Fifo),
        _ => Err(Error::invalid_argument(format!(
            "reuse_order: {number} is no vcp_reuse_order"
        ))),
    }
}
