//! Connections that are nothing but their facts. `tests/scale` compiles this file too.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use crate::handle::{word, CheckedOut};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::{Held, NOWHERE};
use crate::pool::state::DestinationId;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use crate::values::clock::Time;

/// The right to a connection, as `Owned<Conn>` is: there is one at a time, or the connection is
/// lent.
#[derive(Debug)]
pub(crate) struct Fake(Rc<Facts>);

/// What is known of a connection, whoever has it.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) id: u64,
    destination_id: DestinationId,
    retire_at: Time,
    /// Its pool is plain: it may be borrowed without the state.
    has_fast_path: bool,
    pub(crate) uses: Cell<u32>,
    pub(crate) has_data: Cell<bool>,
    pub(crate) is_armed: Cell<bool>,
    pub(crate) node: Cell<u32>,
    unfit: Cell<Option<CloseCause>>,
    /// The pool lets go of it, for good.
    pub(crate) is_gone: Cell<bool>,
    returned_at: Cell<Time>,
    /// A slot's, by which it is lent, borrowed and brought back.
    word: AtomicU64,
    /// Its generation when its loans were counted last.
    counted_at: Cell<u32>,
    eviction_epoch: Cell<u32>,
    /// How often the state asked what the fast path has done with it.
    pub(crate) looks: Cell<u32>,
    is_owned: Cell<bool>,
}

impl Deref for Fake {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Fake {
    pub(crate) fn new(
        id: u64,
        destination_id: DestinationId,
        retire_at: Time,
        has_fast_path: bool,
    ) -> Self {
        Self(Rc::new(Facts {
            id,
            destination_id,
            retire_at,
            has_fast_path,
            uses: Cell::new(0),
            has_data: Cell::new(false),
            is_armed: Cell::new(false),
            node: Cell::new(NOWHERE),
            unfit: Cell::new(None),
            is_gone: Cell::new(false),
            returned_at: Cell::default(),
            word: AtomicU64::new(word::OCCUPIED),
            counted_at: Cell::new(0),
            eviction_epoch: Cell::new(0),
            looks: Cell::new(0),
            is_owned: Cell::new(true),
        }))
    }

    pub(crate) fn facts(&self) -> &Rc<Facts> {
        &self.0
    }

    /// From now on it is its borrower's.
    pub(crate) fn lend(self) -> Rc<Facts> {
        word::lend(&self.word);
        self.is_owned.set(false);
        self.0
    }

    /// It is its borrower's no more.
    pub(crate) fn take_back(facts: &Rc<Facts>) -> Self {
        let generation = u64::from(facts.generation());
        assert!(word::take_back(&facts.word, generation).is_ok(), "not lent");
        assert!(!facts.is_owned.replace(true), "two owners");
        Self(facts.clone())
    }
}

impl Facts {
    fn generation(&self) -> u32 {
        word::generation(self.word.load(Relaxed))
    }

    /// Everything but that it has not been idle for too long.
    pub(crate) fn can_be_borrowed(&self) -> bool {
        let word = self.word.load(Relaxed);
        word == word::idle_word(word, 0)
    }

    pub(crate) fn returned_at(&self) -> Time {
        self.returned_at.get()
    }

    /// Without the state; nobody is in the way.
    pub(crate) fn borrow(&self) {
        let there = self.word.load(Relaxed);
        assert!(word::borrow(&self.word, there).is_some(), "nobody was");
    }

    /// The same for bringing back; false if it has to take the slow path. Its borrower believes
    /// that it is `now`.
    pub(crate) fn give_back_biased(&self, now: Time) -> bool {
        let back = word::idle_word(self.word.load(Relaxed), 0);
        if !word::is_out(&self.word, back) {
            return false;
        }
        self.returned_at.set(now);
        word::give_back(&self.word, back)
    }

    /// The state has not called it in.
    pub(crate) fn is_biased(&self) -> bool {
        word::is_biased(&self.word)
    }

    /// Why it must not be kept.
    pub(crate) fn unfit(&self) -> Option<CloseCause> {
        self.unfit.get()
    }

    /// As `Conn::mark` marks.
    pub(crate) fn mark_unfit(&self, cause: CloseCause) {
        self.unfit.set(Some(cause));
        word::force_slow(&self.word);
    }

    /// Of what `Held::checked_out` will tell next.
    pub(crate) fn uncounted(&self) -> CheckedOut {
        word::checked_out(&self.word, self.counted_at.get())
    }

    /// Counts each loan once.
    fn count(&self, checked_out: CheckedOut) -> CheckedOut {
        self.counted_at
            .set(self.counted_at.get() + checked_out.loans);
        self.uses.set(self.uses.get() + checked_out.loans);
        checked_out
    }
}

impl Held for Fake {
    /// The number of the call that it wakes.
    type Waker = u64;

    fn id(&self) -> u64 {
        self.id
    }

    fn destination_id(&self) -> u32 {
        self.destination_id
    }

    fn retire_at(&self) -> Time {
        self.retire_at
    }

    fn uses(&self) -> u32 {
        self.uses.get()
    }

    fn eviction_epoch(&self) -> u32 {
        self.eviction_epoch.get()
    }

    fn set_eviction_epoch(&self, epoch: u32) {
        self.eviction_epoch.set(epoch);
    }

    fn unfit(&self) -> Option<CloseCause> {
        Facts::unfit(self)
    }

    fn wants_arming(&self) -> bool {
        !self.is_armed.get()
    }

    fn set_node(&self, node: u32) {
        self.node.set(node);
    }

    fn on_returned(&self) {
        assert!(!self.is_gone.get(), "came home after it was gone");
    }

    fn on_removed(&self) {
        assert!(!self.is_gone.replace(true), "goes twice");
    }

    fn returned_at(&self) -> Time {
        Facts::returned_at(self)
    }

    fn make_idle(&self, now: Time, allow_fast_path: bool) {
        self.returned_at.set(now);
        self.counted_at.set(self.generation());
        if allow_fast_path && self.has_fast_path {
            word::bias(&self.word);
        }
    }

    fn checked_out(&self) -> CheckedOut {
        self.looks.set(self.looks.get() + 1);
        self.count(self.uncounted())
    }

    fn revoke(&self) -> CheckedOut {
        self.count(word::revoke(&self.word, self.counted_at.get()))
    }

    fn leave_to_borrower(self) {
        assert!(self.is_owned.replace(false), "it was let go of before");
    }
}
