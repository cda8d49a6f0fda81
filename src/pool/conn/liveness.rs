//! Whether an idle connection may be handed out: what the watch has noticed, and one look at it.
#![forbid(unsafe_code)]

use super::{HUNG_UP, WATCHED};
use crate::pool::conn::Conn;
use crate::pool::state::counters::CloseCause;
use crate::sys::socket;
use crate::values::options::Liveness;

impl Conn {
    /// Why an idle connection must not be handed out.
    pub(crate) fn find_unfit(&self) -> Option<CloseCause> {
        if self.has(HUNG_UP) {
            return Some(CloseCause::StaleAtBorrow);
        }
        let liveness = self.liveness();
        if liveness == Liveness::Watch && self.has(WATCHED) {
            return None;
        }
        // A session that tells no descriptor has nothing to look at: on_reuse and on_idle do.
        match socket::peek(self.fd()?, self.is_datagram()) {
            socket::Peek::Quiet => None,
            socket::Peek::Data => {
                (liveness == Liveness::Strict).then_some(CloseCause::DirtyAtBorrow)
            }
            socket::Peek::End | socket::Peek::Failed(_) => Some(CloseCause::StaleAtBorrow),
        }
    }
}
