//! Destinations whose last dial failed: for a while others fail at once, then one dial tries again.
//!
//! | a destination is | on | becomes |
//! |---|---|---|
//! | good | a failure | failed until now + fail_fast |
//! | failed | time | due for a probe |
//! | due | a dial | being probed: every other dial fails at once |
//! | any | a success | good |
//! | any | a failure | failed until now + fail_fast |
//! | being probed | the probe was given up by its caller | due |
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::answer::{Refusal, Ticket};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::error::Error;

/// So many destinations are remembered as failed.
const MOST: usize = 1024;

#[derive(Debug)]
struct Failure {
    /// Shared by all who fail by it.
    error: Arc<Error>,
    until: Time,
    /// The dial that finds out whether it works again.
    probe: Option<Ticket>,
}

/// The destinations whose last dial failed.
#[derive(Debug)]
pub(in crate::pool::state) struct Failures {
    lasts: Option<Duration>,
    of: BTreeMap<Arc<Destination>, Failure>,
}

impl Failures {
    pub(in crate::pool::state) fn new(lasts: Option<Duration>) -> Self {
        Self {
            lasts,
            of: BTreeMap::new(),
        }
    }

    /// Fails if a dial would have to fail at once.
    pub(in crate::pool::state) fn check(
        &self,
        destination: &Destination,
        now: Time,
    ) -> Result<(), Refusal> {
        if self.of.is_empty() {
            return Ok(());
        }
        match self.of.get(destination) {
            Some(failure) if failure.probe.is_some() || now < failure.until => {
                Err(Refusal::FailedBefore(failure.error.clone()))
            }
            _ => Ok(()),
        }
    }

    /// A dial that `check` has let through begins; true if it is the one that tries again.
    pub(in crate::pool::state) fn begin_probe(
        &mut self,
        destination: &Destination,
        dial: Ticket,
    ) -> bool {
        if self.of.is_empty() {
            return false;
        }
        let failure = self.of.get_mut(destination);
        failure.is_some_and(|failure| *failure.probe.get_or_insert(dial) == dial)
    }

    pub(in crate::pool::state) fn probe_ended(&mut self, destination: &Destination, dial: Ticket) {
        if let Some(failure) = self.of.get_mut(destination) {
            failure.probe = failure.probe.filter(|&probe| probe != dial);
        }
    }

    pub(in crate::pool::state) fn succeeded(&mut self, destination: &Destination) {
        if !self.of.is_empty() {
            self.of.remove(destination);
        }
    }

    /// A dial failed at that time, which another one's end may have overtaken on the way here.
    pub(in crate::pool::state) fn failed(
        &mut self,
        destination: Arc<Destination>,
        dial: Ticket,
        error: &Error,
        at: Time,
    ) {
        let Some(lasts) = self.lasts else {
            return;
        };
        if self.of.len() >= MOST && !self.of.contains_key(&destination) {
            self.of
                .retain(|_, failure| failure.probe.is_some() || at < failure.until);
            if self.of.len() >= MOST {
                self.forget_the_oldest();
            }
        }
        let last = self.of.get(&destination);
        let last_until = last.map_or(Time::default(), |failure| failure.until);
        // A dial that began before the failure may fail while the probe runs: that one goes on.
        let probe = last.and_then(|failure| failure.probe);
        let failure = Failure {
            error: Arc::new(error.clone()),
            until: at.after(lasts).max(last_until),
            probe: probe.filter(|&probe| probe != dial),
        };
        self.of.insert(destination, failure);
    }

    fn forget_the_oldest(&mut self) {
        let oldest = self.of.iter().min_by_key(|(_, failure)| failure.until);
        let oldest = oldest.map(|(destination, _)| destination.clone());
        oldest.and_then(|destination| self.of.remove(&destination));
    }
}
