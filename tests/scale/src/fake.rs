//! A connection that is nothing but its facts.

use std::cell::Cell;
use std::rc::Rc;

use crate::handle::{word, CheckedOut};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::{Held, NOWHERE};
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use crate::values::clock::Time;

/// The right to it.
#[derive(Clone, Debug)]
pub(crate) struct Fake(Rc<Facts>);

#[derive(Debug)]
struct Facts {
    id: u64,
    to: u32,
    node: Cell<u32>,
    since: Cell<Time>,
    counted_at: Cell<u32>,
    word: AtomicU64,
}

impl Fake {
    pub(crate) fn new(id: u64, to: u32) -> Self {
        Self(Rc::new(Facts {
            id,
            to,
            node: Cell::new(NOWHERE),
            since: Cell::default(),
            counted_at: Cell::default(),
            word: AtomicU64::new(word::OCCUPIED),
        }))
    }

    pub(crate) fn is_biased(&self) -> bool {
        self.0.node.get() != NOWHERE
    }

    /// Borrowed and brought back without the state, at that time.
    pub(crate) fn use_in_place(&self, now: Time) {
        let there = word::idle_word(self.0.word.load(Relaxed), 0);
        let back = word::borrow(&self.0.word, there).expect("it stands there");
        self.0.since.set(now);
        assert!(word::give_back(&self.0.word, back));
    }

    pub(crate) fn to(&self) -> u32 {
        self.0.to
    }

    fn count(&self, checked_out: CheckedOut) -> CheckedOut {
        let counted = &self.0.counted_at;
        counted.set(counted.get().wrapping_add(checked_out.loans));
        checked_out
    }
}

impl Held for Fake {
    type Waker = ();

    fn id(&self) -> u64 {
        self.0.id
    }

    fn destination_id(&self) -> u32 {
        self.0.to
    }

    fn retire_at(&self) -> Time {
        Time::NEVER
    }

    fn uses(&self) -> u32 {
        1
    }

    fn eviction_epoch(&self) -> u32 {
        0
    }

    fn set_eviction_epoch(&self, _: u32) {}

    fn unfit(&self) -> Option<CloseCause> {
        None
    }

    fn wants_arming(&self) -> bool {
        false
    }

    fn set_node(&self, node: u32) {
        self.0.node.set(node);
    }

    fn on_returned(&self) {}

    fn on_removed(&self) {}

    fn returned_at(&self) -> Time {
        self.0.since.get()
    }

    fn make_idle(&self, now: Time, allow_fast_path: bool) {
        self.0.since.set(now);
        let generation = word::generation(self.0.word.load(Relaxed));
        self.0.counted_at.set(generation);
        if allow_fast_path {
            word::bias(&self.0.word);
        }
    }

    fn checked_out(&self) -> CheckedOut {
        self.count(word::checked_out(&self.0.word, self.0.counted_at.get()))
    }

    fn revoke(&self) -> CheckedOut {
        self.count(word::revoke(&self.0.word, self.0.counted_at.get()))
    }

    fn leave_to_borrower(self) {}
}
