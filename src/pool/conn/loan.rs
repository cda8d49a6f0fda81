//! Who has borrowed a connection, and since when.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::RawFd;
use std::time::Duration;

use crate::pool::conn::Conn;
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;

/// Who borrowed a connection, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loan {
    pub(crate) label: Option<Arc<str>>,
    /// Zero: nobody wants to know.
    pub(crate) since: Time,
}

impl Loan {
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or_default()
    }
}

/// What is known of a connection on loan, without holding on to it.
#[derive(Debug)]
pub(crate) struct LoanInfo {
    pub(crate) destination: Arc<Destination>,
    pub(crate) remote: Option<Arc<Endpoint>>,
    pub(crate) fd: RawFd,
    pub(crate) loan: Loan,
}

impl LoanInfo {
    pub(crate) fn of(conn: &Conn) -> Self {
        Self {
            destination: conn.shared_destination().clone(),
            remote: conn.shared_remote().cloned(),
            fd: conn.raw_fd(),
            loan: conn.loan(),
        }
    }
}

/// The timed loans of a pool, so that a leak is found without a walk over all connections.
#[derive(Debug, Default)]
pub(crate) struct Loans {
    /// When each began, with its connection's slot.
    running: BTreeSet<(Time, u64)>,
    /// Those that were reported as leaks and have not ended.
    leaked: BTreeSet<(Time, u64)>,
    /// Leaks that the observer has not been told yet, by slot.
    untold: VecDeque<(u64, LoanInfo)>,
}

/// As many leaks are found in one look: the memory for it is bounded.
const MOST_AT_ONCE: usize = 64;

impl Loans {
    pub(crate) fn begin(&mut self, since: Time, slot: u64) {
        self.running.insert((since, slot));
    }

    /// Ends a loan. If it is a leak of which the observer has not been told, it is to be told now,
    /// before the connection's return is.
    pub(crate) fn end(&mut self, since: Time, slot: u64) -> Option<LoanInfo> {
        if self.running.remove(&(since, slot)) || !self.leaked.remove(&(since, slot)) {
            return None;
        }
        let at = self.untold.iter().position(|(leak, _)| *leak == slot)?;
        self.untold.remove(at).map(|(_, lent)| lent)
    }

    /// The observer is to be told of a leak.
    pub(crate) fn tell_later(&mut self, slot: u64, lent: LoanInfo) {
        self.untold.push_back((slot, lent));
    }

    pub(crate) fn next_untold(&mut self) -> Option<LoanInfo> {
        self.untold.pop_front().map(|(_, lent)| lent)
    }

    /// The slots of those that last longer than `threshold`, some at once: they are leaks from this
    /// call on.
    pub(crate) fn take_leaks(&mut self, threshold: Duration, now: Time) -> Vec<u64> {
        let mut slots = Vec::new();
        while let Some(&(since, slot)) = self.running.first() {
            if since.after(threshold) > now || slots.len() == MOST_AT_ONCE {
                break;
            }
            self.running.pop_first();
            self.leaked.insert((since, slot));
            slots.push(slot);
        }
        slots
    }

    /// When the longest loan that is no leak yet began.
    pub(crate) fn longest_since(&self) -> Option<Time> {
        self.running.first().map(|&(since, _)| since)
    }

    /// The slots of the leaks, longest first.
    pub(crate) fn leaks(&self) -> impl Iterator<Item = u64> + '_ {
        self.leaked.iter().map(|&(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_search_looks_at_the_longest_loans_alone() {
        let at = |seconds| Time::default().after(Duration::from_secs(seconds));
        let threshold = Duration::from_secs(10);
        let mut loans = Loans::default();
        for slot in 0..5 {
            loans.begin(at(slot), slot);
        }
        assert!(loans.end(at(1), 1).is_none());
        assert_eq!(loans.take_leaks(threshold, at(12)), [0, 2]);
        assert_eq!(loans.longest_since(), Some(at(3)));
        assert!(loans.take_leaks(threshold, at(12)).is_empty(), "told once");
        assert!(loans.end(at(0), 0).is_none());
        assert_eq!(loans.leaks().collect::<Vec<_>>(), [2]);
    }
}
