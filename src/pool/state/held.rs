//! A connection as the state sees it: a payload with an identity, a place, a lifetime and a slot
//! word.
//!
//! The pool implements it for its sockets, the model and the checkers for plain numbers.
#![forbid(unsafe_code)]

use super::counters::CloseCause;
use crate::handle::CheckedOut;
use crate::values::clock::Time;

/// No node of the idle list.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What the state keeps idle, lends and takes back.
pub(crate) trait Held {
    /// Wakes a borrower that waits for a connection.
    type Waker: Clone + std::fmt::Debug;
    /// Never equal for two connections that exist at once.
    fn id(&self) -> u64;
    /// The destination that it was dialed to.
    fn destination_id(&self) -> u32;
    /// When its lifetime ends; [`Time::NEVER`] without one.
    fn retire_at(&self) -> Time;
    /// Borrows so far.
    fn uses(&self) -> u32;
    /// The number of evictions when the pool got it.
    fn eviction_epoch(&self) -> u32;
    fn set_eviction_epoch(&self, epoch: u32);
    /// Why it must not be lent or kept, as far as the watch or abort have marked it.
    fn unfit(&self) -> Option<CloseCause>;
    /// Its watch does not report unread bytes yet, and should once it has been idle for a while.
    fn wants_arming(&self) -> bool;
    /// Remembers the node of the idle list that holds it ([`NOWHERE`]: none), so that it is found
    /// without a search.
    fn set_node(&self, node: u32);
    /// Ends its loan: it is kept, or handed to a waiter.
    fn on_returned(&self);
    /// The pool no longer counts it: it is about to be closed, or it became the program's.
    fn on_removed(&self);
    /// When the fast path brought it back last. Before that, when it was put on the idle list.
    fn returned_at(&self) -> Time;
    /// It is idle since `now`. With `allow_fast_path` threads may borrow it and bring it back by
    /// its word alone, until it is revoked.
    fn make_idle(&self, now: Time, allow_fast_path: bool);
    /// What the fast path did with it since the last call of this or of `revoke`.
    fn checked_out(&self) -> CheckedOut;
    /// Takes the fast path's permission away, and tells what the fast path did with it. A
    /// connection that is out stays its borrower's, who gives it back under the pool's lock.
    fn revoke(&self) -> CheckedOut;
    /// Drops the state's claim to a connection that `revoke` found out.
    fn leave_to_borrower(self);
}
