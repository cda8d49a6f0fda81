//! The enums of a pool's options.

use crate::values::error::{Error, Result};
use crate::values::options::{Liveness, ReuseOrder};

/// How an idle connection is checked before it is handed out: one of the VCP_LIVENESS_* numbers.
pub type vcp_liveness = i32;

/// ---- HOW CONNECTIONS ARE REUSED ----
///
/// liveness and reuse_order of vcp_pool_options take these numbers, and vcp_conn_set_liveness the
/// first three.
///
/// In every mode the library also watches idle connections in the background: one whose peer hangs
/// up leaves the pool within 1 s, without any borrow; so does one that receives bytes under STRICT.
/// A connection that epoll(7) cannot watch is looked at when it is borrowed, in every mode.
/// Datagram and raw sockets have no hang-up: STRICT closes them when a datagram or an error is
/// pending; under WATCH nothing is noticed until I/O fails.
///
/// ----
///
/// One recv(2) with MSG_PEEK at each borrow. End of stream, an error or unread bytes close the
/// connection, and the dial takes the next one.
pub const VCP_LIVENESS_STRICT: i32 = 0;
/// As STRICT, but unread bytes are no reason to close: TLS session tickets may arrive at any time.
pub const VCP_LIVENESS_ALLOW_DATA: i32 = 1;
/// No system call at a borrow: the watch in the background decides alone. It sees a hang-up within
/// 20 ms on an idle machine.
pub const VCP_LIVENESS_WATCH: i32 = 2;

/// Which idle connection is handed out first: one of the VCP_REUSE_* numbers.
pub type vcp_reuse_order = i32;

/// The one given back last. The others can grow old and go. A thread first takes the connection
/// that it gave back last itself, under the same spelling of network, address and tag, if that is
/// still there; so threads that go on using their own connections do not disturb each other.
pub const VCP_REUSE_LIFO: i32 = 0;
/// The one that has been idle for longest. All of them stay in use.
pub const VCP_REUSE_FIFO: i32 = 1;

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
