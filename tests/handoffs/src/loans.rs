//! Loans without the state, as `handle::shelved` and `ffi::conn` make and end them: the word's
//! exchanges are the library's.

use std::sync::atomic::Ordering::SeqCst;

use crate::fake::{Conn, Facts};
use crate::handle::word;
use crate::pool::state::counters::CloseCause;
use crate::scene::{Pool, LATE, NOW};
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::Arc;
use crate::values::clock::Time;

/// Where a connection was left.
#[derive(Clone, Debug)]
pub(crate) struct CachedSlot {
    pub(crate) facts: Arc<Facts>,
    word: u64,
}

/// A connection that was borrowed from there.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) facts: Arc<Facts>,
    back: u64,
}

impl CachedSlot {
    /// Where one that is borrowed from the state will be.
    pub(crate) fn of_return(conn: &Conn) -> Self {
        Self {
            facts: conn.facts.clone(),
            word: word::idle_word(conn.word.load(Relaxed), 0),
        }
    }

    pub(crate) fn borrow(&self, pool: &Pool) -> Option<Loan> {
        let back = word::borrow(&self.facts.word, self.word)?;
        self.facts.is_taken();
        pool.loans.fetch_add(1, SeqCst);
        Some(Loan {
            facts: self.facts.clone(),
            back,
        })
    }

    /// Borrows what it finds where it was left, and brings it back: so often, or until somebody
    /// else has had it.
    pub(crate) fn lend(self, pool: &Pool, times: u32) -> bool {
        let mut cached = self;
        for _ in 0..times {
            let Some(loan) = cached.borrow(pool) else {
                return false;
            };
            match loan.give_back(pool) {
                Some(back) => cached = back,
                None => return false,
            }
        }
        true
    }
}

impl Loan {
    /// Brings it back by the fast path, if that is open. The cached of its return if so.
    fn give_back_biased(&self, pool: &Pool, now: Time) -> Option<CachedSlot> {
        let facts = &self.facts;
        if !word::is_out(&facts.word, self.back) {
            return None;
        }
        facts.since.store(now.nanos(), Relaxed);
        facts.is_left();
        if word::give_back(&facts.word, self.back) {
            pool.returns.fetch_add(1, SeqCst);
            return Some(CachedSlot {
                facts: facts.clone(),
                word: self.back,
            });
        }
        facts.is_taken();
        None
    }

    /// By whichever way is open.
    pub(crate) fn give_back(self, pool: &Pool) -> Option<CachedSlot> {
        let cached = self.give_back_biased(pool, NOW);
        if cached.is_none() {
            pool.give_back(self.come_home(pool));
        }
        cached
    }

    /// The same when much time has passed.
    pub(crate) fn give_back_late(self, pool: &Pool) {
        if self.give_back_biased(pool, LATE).is_none() {
            pool.give_back(self.come_home(pool));
        }
    }

    pub(crate) fn discard(self, pool: &Pool) {
        pool.discard(self.come_home(pool));
    }

    /// As `fast_hit::is_fit` does with one that is not.
    pub(crate) fn is_unfit(self, pool: &Pool) {
        let Self { facts, .. } = self;
        let node = || facts.node.load(SeqCst);
        pool.change(|state, _| {
            if state.revoke_one(node, facts.id) {
                state.uncount_reuse();
                pool.loans.fetch_sub(1, SeqCst);
            }
        });
        pool.reject(Conn { facts });
    }

    /// The first half of the slow path, up to where it is as any borrowed one.
    fn come_home(self, pool: &Pool) -> Conn {
        let Self { facts, .. } = self;
        if word::is_biased(&facts.word) {
            pool.change(|state, _| state.revoke_one(|| facts.node.load(SeqCst), facts.id));
        }
        Conn { facts }
    }
}

impl Pool {
    /// One that stands on its shelf, from nothing.
    pub(crate) fn shelved(self: &Arc<Self>, to: usize) -> CachedSlot {
        let conn = self.opened(to);
        self.leave(conn)
    }

    /// Gives it back by the state, as `thread_cache::comes_next` remembers it.
    pub(crate) fn leave(&self, conn: Conn) -> CachedSlot {
        let cached = CachedSlot::of_return(&conn);
        self.give_back(conn);
        cached
    }

    /// As `Pool::noticed`: the watch has seen the peer hang up.
    pub(crate) fn noticed(&self, facts: &Facts) {
        self.change(|state, effects| {
            facts.mark(&facts.has_hung_up);
            let node = || facts.node.load(SeqCst);
            state.revoke_one(node, facts.id);
            if !facts.is_borrowed() {
                let found = Some(CloseCause::PeerClosedWhileIdle);
                state.remove_idle(node(), facts.id, |_| found, NOW, effects);
            }
        });
    }

    /// `vcp_pool_get`: one without user data, which its caller gets for good.
    pub(crate) fn get(&self, to: usize) {
        let no_data = |conn: &Conn| !conn.has_data.load(SeqCst);
        let got = self.take_idle(to, no_data);
        if let Some(conn) = got {
            conn.lend();
            assert!(no_data(&conn), "its data cannot follow");
            self.discard(conn);
        }
    }

    /// Exact numbers, at any moment.
    pub(crate) fn count(&self) -> (u64, u64) {
        self.change(|state, _| {
            state.revoke_all_out();
            let stats = state.stats();
            (stats.idle, stats.borrowed)
        })
    }
}
