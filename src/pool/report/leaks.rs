//! Connections that have been borrowed for too long: reported once, and once more if they come back
//! after all.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::handle::{Kept, Owned};
use crate::pool::conn::loan::{Loan, LoanInfo};
use crate::pool::conn::Conn;
use crate::pool::runtime::runtime;
use crate::pool::state::held::NOWHERE;
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
    pub(crate) fn begin_loan(self: &Arc<Self>, conn: &Conn, label: Option<&Arc<str>>) {
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
            let _state = self.locked();
            self.wake_by(since.after(threshold));
        }
    }

    /// What has leaked since the last look, and when to look again. Under the state's lock, so that
    /// nothing comes back meanwhile.
    pub(crate) fn find_leaks(
        &self,
        state: &mut State<Owned<Conn>>,
        now: Time,
    ) -> (Vec<LoanInfo>, Time) {
        let (mut leaked, mut next) = (Vec::new(), Time::NEVER);
        let Some(threshold) = self.leak_threshold() else {
            return (leaked, next);
        };
        Conn::table().each(|conn| {
            if !self.has_lent(conn) || conn.has(conn::LEAKED) {
                return;
            }
            let due = conn.loaned_since().after(threshold);
            if due <= now {
                conn.mark(conn::LEAKED);
                leaked.push(LoanInfo::of(conn));
            } else {
                next = next.min(due);
            }
        });
        state.count_leaks(leaked.len() as u64);
        (leaked, next)
    }

    /// Handed to a borrower, and timed.
    pub(crate) fn has_lent(&self, conn: &Conn) -> bool {
        std::ptr::eq(Arc::as_ptr(conn.pool()), self)
            && conn.node() == NOWHERE
            && !conn.has(conn::GONE)
            && conn.loaned_since() != Time::default()
    }

    /// On a thread that may block: the engine's must not run code of the program.
    pub(crate) fn report_leaks(self: &Arc<Self>, leaked: Vec<LoanInfo>) {
        if leaked.is_empty() || !self.is_observed() {
            return;
        }
        let pool = self.clone();
        runtime().helpers.notify(Box::new(move || {
            for lent in &leaked {
                pool.gate.within(|| pool.emit_leaked(lent));
            }
        }));
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
