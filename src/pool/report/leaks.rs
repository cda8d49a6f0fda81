//! Connections that have been borrowed for too long: reported once, and once more if they come back
//! after all.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::handle::{Kept, Owned, SlotId};
use crate::pool::conn::loan::{Loan, LoanInfo};
use crate::pool::conn::Conn;
use crate::pool::runtime::runtime;
use crate::pool::state::State;
use crate::pool::{conn, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::clock::Time;
use crate::values::event::{Event, EventKind};

impl Pool {
    fn leak_threshold(&self) -> Option<Duration> {
        self.options.leak_threshold
    }

    /// A borrower gets it. Loans are timed for events and leak reports only: a hit of other pools
    /// reads no clock for them.
    pub(crate) fn begin_loan(self: &Arc<Self>, conn: &Owned<Conn>, label: Option<&Arc<str>>) {
        let threshold = self.leak_threshold();
        let is_timed = threshold.is_some() || self.is_observed();
        let since = if is_timed {
            clock::now()
        } else {
            Time::default()
        };
        conn.begin_loan(Loan {
            label: label.cloned(),
            since,
        });
        if let Some(threshold) = threshold {
            // Without a thread there is no report, and the connection is as good as any.
            let _ = self.engine();
            let state = self.locked();
            let mut loans = self.loans.lock();
            loans.begin(since, conn.slot_id().to_bits());
            self.wake_by(since.after(threshold));
            drop((loans, state));
        }
    }

    /// A borrower no longer has it. To be called before the transition that takes it back.
    pub(crate) fn end_loan(&self, conn: &Owned<Conn>) {
        if self.leak_threshold().is_none() {
            return;
        }
        let mut loans = self.loans.lock();
        let untold = loans.end(conn.loaned_since(), conn.slot_id().to_bits());
        drop(loans);
        if let Some(lent) = untold {
            self.emit_leaked(&lent);
        }
    }

    /// How many have leaked since the last call, and when to call again. Under the state's lock, so
    /// that nothing comes back meanwhile.
    pub(crate) fn find_leaks(&self, state: &mut State<Owned<Conn>>, now: Time) -> (usize, Time) {
        let Some(threshold) = self.leak_threshold() else {
            return (0, Time::NEVER);
        };
        let mut loans = self.loans.lock();
        let slots = loans.take_leaks(threshold, now);
        for &slot in &slots {
            let Some(conn) = Conn::table().pin_slot(SlotId::from_bits(slot)) else {
                continue;
            };
            conn.mark(conn::LEAKED);
            if self.is_observed() {
                loans.tell_later(slot, LoanInfo::of(&conn));
            }
        }
        state.count_leaks(slots.len() as u64);
        let since = loans.longest_since();
        let next = since.map_or(Time::NEVER, |since| since.after(threshold));
        (slots.len(), next)
    }

    /// The loans that were reported as leaks and have not ended, longest first.
    pub(crate) fn leaks(&self) -> Vec<LoanInfo> {
        let loans = self.loans.lock();
        let conns = loans
            .leaks()
            .filter_map(|slot| Conn::table().pin_slot(SlotId::from_bits(slot)));
        conns.map(|conn| LoanInfo::of(&conn)).collect()
    }

    /// Tells the observer, on a thread that may block: the engine's must not run code of the
    /// program. A leak that comes back before its turn is told by the thread that gives it back.
    pub(crate) fn report_leaks(self: &Arc<Self>, leaks: usize) {
        if leaks == 0 || !self.is_observed() {
            return;
        }
        let pool = self.clone();
        let tell = move || while pool.gate.within(|| pool.tell_next_leak()) == Some(true) {};
        runtime().helpers.notify(Box::new(tell));
    }

    fn tell_next_leak(&self) -> bool {
        self.must_be_ours();
        let untold = self.loans.lock().next_untold();
        let is_one = untold.is_some();
        if let Some(lent) = untold {
            self.emit_leaked(&lent);
        }
        is_one
    }

    /// `remark` names the pool, because one callback may serve several.
    fn emit_leaked(&self, lent: &LoanInfo) {
        let duration = clock::now().since(lent.loan.since);
        let of_pool = match &*self.options.name {
            "" => String::new(),
            name => format!("pool {name}: "),
        };
        let remark = format!("{of_pool}borrowed for {} ms", duration.as_millis());
        self.emit(Event {
            fd: Some(lent.fd),
            remote: lent.remote.as_deref(),
            duration,
            remark: &remark,
            ..Event::new(EventKind::Leaked, &lent.destination, lent.loan.label())
        });
    }
}
