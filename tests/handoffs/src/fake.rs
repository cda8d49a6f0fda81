//! Connections that are nothing but their facts.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use crate::handle::{word, CheckedOut};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::{Held, NOWHERE};
use crate::scene::Parker;
use crate::sync::atomic::{
    self, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::sync::Arc;
use crate::values::clock::Time;

/// What everybody may see and do. But for the word and what goes with it, changed under the pool's
/// lock, so plain atomics do.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) id: u64,
    pub(crate) to: u32,
    /// It may be borrowed without the state.
    pub(crate) has_fast_path: bool,
    eviction_epoch: AtomicU32,
    pub(crate) has_hung_up: AtomicBool,
    pub(crate) is_gone: AtomicBool,
    pub(crate) has_data: AtomicBool,
    /// Its descriptor's number is another connection's by now; told without the lock.
    is_foreign: atomic::AtomicBool,
    /// In somebody's hands: two owners would set it twice.
    pub(crate) is_owned: AtomicBool,
    /// The checkers look into the moment when it is shelved and this is not set.
    pub(crate) node: atomic::AtomicU32,
    counted_at: AtomicU32,
    /// A slot's, and on its card since when it stands there.
    pub(crate) word: AtomicU64,
    pub(crate) since: AtomicU64,
}

impl Facts {
    pub(crate) fn is_taken(&self) {
        assert!(!self.is_owned.swap(true, SeqCst), "two owners");
    }

    pub(crate) fn is_left(&self) {
        assert!(self.is_owned.swap(false, SeqCst), "left by nobody");
    }

    /// As `Conn::mark` does: it comes back by the state.
    pub(crate) fn mark(&self, flag: &AtomicBool) {
        flag.store(true, SeqCst);
        word::force_slow(&self.word);
    }

    /// As `fd_owners::claim` and `Conn::lost_its_number` do.
    pub(crate) fn loses_its_number(&self) {
        self.is_foreign.swap(true, AcqRel);
        word::force_slow(&self.word);
    }

    pub(crate) fn is_borrowed(&self) -> bool {
        self.node.load(SeqCst) == NOWHERE && !self.is_gone.load(SeqCst)
    }

    /// Each loan is told once.
    fn count(&self, checked_out: CheckedOut) -> CheckedOut {
        self.counted_at.fetch_add(checked_out.loans, SeqCst);
        checked_out
    }
}

/// The right to a connection, as the library's `Owned`.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) facts: Arc<Facts>,
}

impl Deref for Conn {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Conn {
    pub(crate) fn new(id: u64, to: u32, has_fast_path: bool) -> Self {
        let facts = Facts {
            id,
            to,
            has_fast_path,
            eviction_epoch: AtomicU32::new(0),
            has_hung_up: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            has_data: AtomicBool::new(false),
            is_foreign: atomic::AtomicBool::new(false),
            is_owned: AtomicBool::new(false),
            node: atomic::AtomicU32::new(NOWHERE),
            counted_at: AtomicU32::new(0),
            word: AtomicU64::new(word::OCCUPIED),
            since: AtomicU64::new(0),
        };
        Self {
            facts: Arc::new(facts),
        }
    }

    /// Its borrower has it.
    pub(crate) fn lend(&self) {
        self.is_taken();
        word::lend(&self.word);
    }

    /// And has it no more.
    pub(crate) fn take_back(&self) {
        self.is_left();
        let generation = u64::from(word::generation(self.word.load(Relaxed)));
        word::take_back(&self.word, generation).expect("lent");
    }
}

impl Held for Conn {
    type Waker = Arc<Parker>;

    fn id(&self) -> u64 {
        self.id
    }

    fn destination_id(&self) -> u32 {
        self.to
    }

    fn retire_at(&self) -> Time {
        Time::NEVER
    }

    fn uses(&self) -> u32 {
        1
    }

    fn eviction_epoch(&self) -> u32 {
        self.eviction_epoch.load(SeqCst)
    }

    fn set_eviction_epoch(&self, epoch: u32) {
        self.eviction_epoch.store(epoch, SeqCst);
    }

    fn unfit(&self) -> Option<CloseCause> {
        if self.has_hung_up.load(SeqCst) {
            return Some(CloseCause::PeerClosedAtGiveBack);
        }
        None
    }

    fn wants_arming(&self) -> bool {
        false
    }

    fn set_node(&self, node: u32) {
        self.node.store(node, SeqCst);
    }

    fn on_returned(&self) {
        assert!(!self.is_gone.load(SeqCst), "came home after it was gone");
    }

    fn on_removed(&self) {
        assert!(!self.is_gone.swap(true, SeqCst), "goes twice");
    }

    fn returned_at(&self) -> Time {
        Time::from_nanos(self.since.load(Relaxed))
    }

    fn make_idle(&self, now: Time, allow_fast_path: bool) {
        self.since.store(now.nanos(), Relaxed);
        let generation = word::generation(self.word.load(Relaxed));
        self.counted_at.store(generation, SeqCst);
        if allow_fast_path && self.has_fast_path {
            word::bias(&self.word);
            if self.is_foreign.load(Acquire) {
                word::force_slow(&self.word);
            }
        }
    }

    fn checked_out(&self) -> CheckedOut {
        self.count(word::checked_out(&self.word, self.counted_at.load(SeqCst)))
    }

    fn revoke(&self) -> CheckedOut {
        self.count(word::revoke(&self.word, self.counted_at.load(SeqCst)))
    }

    fn leave_to_borrower(self) {
        // Its borrower makes another value that stands for it.
    }
}
