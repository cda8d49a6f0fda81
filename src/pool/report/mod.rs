//! What a pool reports about itself: leaks, and `vcp_pool_describe`.
#![forbid(unsafe_code)]

pub(crate) mod describe;
pub(crate) mod leaks;

use crate::pool::state::counters::Stats;
use crate::pool::Pool;
use crate::values::address::Address;

impl Pool {
    pub(crate) fn conn_count(&self) -> u32 {
        self.locked().conn_count()
    }

    pub(crate) fn idle_count(&self, address: Option<&Address>) -> u32 {
        self.counted().idle_count(address)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counted().stats()
    }
}
