//! A connection as the state sees it.
#![forbid(unsafe_code)]

use super::counters::CloseCause;
use crate::handle::Absence;
use crate::values::clock::Time;

/// No node.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What a shelf holds.
pub(crate) trait Held {
    /// Wakes one that waits for a connection.
    type Waker: Clone + std::fmt::Debug;
    /// Never the same for two connections that exist at once.
    fn id(&self) -> u64;
    /// Where it belongs.
    fn destination_id(&self) -> u32;
    /// When its lifetime ends.
    fn retire_at(&self) -> Time;
    /// Borrows so far.
    fn uses(&self) -> u32;
    /// Why it must not be handed out or kept, as far as somebody has noticed.
    fn unfit(&self) -> Option<CloseCause>;
    /// Its watch does not look for bytes yet, and should once it has been idle for a while.
    fn wants_arming(&self) -> bool;
    /// Keeps the number of the node it stands in ([`NOWHERE`]: none), so that it can be found without a search.
    fn set_node(&self, node: u32);
    /// Its borrow is over, and it is kept or handed on.
    fn came_home(&self);
    /// It is going to be closed.
    fn goes(&self);
    /// Since when it stands here idle; earlier than it was put here: since then.
    fn stands_since(&self) -> Time;
    /// It stands on a shelf. From now on it may be borrowed and brought back without anybody asking here, where that is allowed.
    fn is_shelved(&self, now: Time, may_be_quick: bool);
    /// What has become of it without anybody asking here, since the last look.
    fn look(&self) -> Absence;
    /// The same; from now on nobody borrows it without asking. If it is out, it is its borrower's, and comes back by the pool.
    fn hold(&self) -> Absence;
    /// The one that `hold` has found to be its borrower's.
    fn let_go(self);
}
