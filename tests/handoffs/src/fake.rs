//! Connections that are nothing but their facts.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use crate::pool::shelf::{Held, NOWHERE};
use crate::pool::stats::Cause;
use crate::scene::Nap;
use crate::sync::Arc;
use crate::values::clock::Time;

/// What everybody may see and do; changed under the pool's lock, so plain atomics do.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) is_evicted: AtomicBool,
    pub(crate) is_gone: AtomicBool,
    /// In somebody's hands: two owners would set it twice.
    pub(crate) is_owned: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: u64,
    pub(crate) to: u32,
    pub(crate) facts: Arc<Facts>,
    pub(crate) node: AtomicU32,
}

impl Conn {
    pub(crate) fn new(id: u64, to: u32) -> Self {
        Self {
            id,
            to,
            facts: Arc::default(),
            node: AtomicU32::new(NOWHERE),
        }
    }

    pub(crate) fn is_taken(&self) {
        assert!(!self.facts.is_owned.swap(true, SeqCst), "two owners");
    }

    pub(crate) fn is_left(&self) {
        assert!(self.facts.is_owned.swap(false, SeqCst), "left by nobody");
    }
}

impl Held for Conn {
    type Bell = Arc<Nap>;

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

    fn unfit(&self) -> Option<Cause> {
        self.facts.is_evicted.load(SeqCst).then_some(Cause::Evicted)
    }

    fn wants_arming(&self) -> bool {
        false
    }

    fn set_node(&self, node: u32) {
        self.node.store(node, SeqCst);
    }

    fn came_home(&self) {
        assert!(
            !self.facts.is_gone.load(SeqCst),
            "came home after it was gone"
        );
    }

    fn goes(&self) {
        assert!(!self.facts.is_gone.swap(true, SeqCst), "goes twice");
    }
}
