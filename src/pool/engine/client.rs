//! What the engine looks after, seen from below: it knows no pool and no connection.
#![forbid(unsafe_code)]

use std::fmt::Debug;

use super::poller::Poller;
use crate::sync::Arc;
use crate::thread_pool::helpers::Helpers;
use crate::values::clock::Time;

/// A pool, as far as its engine knows it.
pub(crate) trait Client: Debug + Send + Sync {
    /// When the client has something to do next.
    fn next_deadline(&self) -> Time;
    /// Does what is due at `now`.
    fn reap(self: Arc<Self>, now: Time);
    /// Nothing new begins for a closed client, and its tasks end.
    fn is_closed(&self) -> bool;
    /// Runs `work`, which may call the program, unless the client's callbacks have ended.
    fn within_gate(&self, work: &mut dyn FnMut());
    /// Runs `work` on the engine's thread. What it leaves to be told is told before the client's
    /// end is over.
    fn before_end(&self, work: &mut dyn FnMut());
}

/// What the engine hands work to.
#[derive(Clone, Debug)]
pub(crate) struct Handlers {
    /// epoll reported events for the connection of that slot number.
    pub(crate) on_conn_event: fn(&Poller, u64, u32),
    /// Threads for code of the program.
    pub(crate) helpers: Helpers,
}
