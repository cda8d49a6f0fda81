//! `min_idle_per_address`: which destinations have too few idle connections, and when it is time to
//! dial for them.
//!
//! The engine looks (`find_short`) shortly after something was taken or closed, one job per
//! destination dials, and after a failure the destination is left alone for a while that doubles
//! each time.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::answer::{DialRight, Refusal, Reuse};
use super::borrow::NotForIdle;
use super::held::Held;
use super::{DestinationId, DestinationState, State};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;

/// Destinations that the engine is told of at once.
const MOST_AT_ONCE: usize = 64;
/// What is taken for a moment only is not made up for.
const SOON: Duration = Duration::from_millis(10);
/// After a first failure; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So long a destination is wanted after it was borrowed, where idle connections have no timeout.
const WANTED_FOR: Duration = Duration::from_secs(90);
/// A destination with nothing left is kept for so long, for a refill to succeed.
const KEPT_EMPTY: Duration = Duration::from_secs(50);

/// How far one destination is to be refilled.
#[derive(Debug, Default)]
pub(super) struct Refill {
    /// Until then it counts as lately borrowed.
    wanted_until: Time,
    /// Boxed, because without min_idle_per_address no destination has one.
    pace: Option<Box<RefillPace>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct RefillPace {
    /// Not again before.
    not_before: Time,
    failures: u32,
    is_running: bool,
    /// Dials since it was borrowed or this second began, whichever was later.
    dials: u32,
    second_began: Time,
    paced_until: Time,
    /// Nothing idle or borrowed since.
    empty_since: Option<Time>,
}

impl Refill {
    fn pace(&self) -> RefillPace {
        self.pace.as_deref().copied().unwrap_or_default()
    }

    fn pace_mut(&mut self) -> &mut RefillPace {
        self.pace.get_or_insert_default()
    }
}

impl<C: Held> State<C> {
    fn wanted_idle(&self) -> u32 {
        let max = self.limits.max_idle_per_address;
        self.keeping.min_idle_per_address.min(max)
    }

    /// A borrower has got a connection of it.
    pub(crate) fn mark_wanted(&mut self, id: DestinationId, now: Time) {
        let lasts = self.keeping.idle_timeout.unwrap_or(WANTED_FOR);
        let refill = &mut self.entry(id).refill;
        refill.wanted_until = now.after(lasts);
        if let Some(pace) = &mut refill.pace {
            pace.dials = 0;
            pace.paced_until = Time::default();
            pace.empty_since = None;
        }
        self.schedule_refill_check(now);
    }

    /// min_idle_per_address was set anew. A pool without it does not note when a destination was
    /// borrowed; what has a connection now was borrowed lately, or the connection would be gone.
    pub(super) fn want_what_is_in_use(&mut self, now: Time) {
        if self.wanted_idle() > 0 {
            let until = now.after(self.keeping.idle_timeout.unwrap_or(WANTED_FOR));
            for entry in self.entries.iter_mut().flatten() {
                if entry.shelf.len() + entry.borrowed > 0 {
                    let refill = &mut entry.refill;
                    refill.wanted_until = refill.wanted_until.max(until);
                }
            }
        }
        self.schedule_refill_check(now);
    }

    /// A destination may have too few now.
    pub(super) fn schedule_refill_check(&mut self, now: Time) {
        if self.wanted_idle() > 0 {
            self.refill_check_at = self.refill_check_at.min(now.after(SOON));
        }
    }

    /// Empty, but perhaps to be refilled.
    pub(super) fn is_kept_empty(&self, entry: &DestinationState) -> bool {
        !self.is_closed && self.wanted_idle() > 0 && entry.refill.wanted_until > Time::default()
    }

    /// The destinations that somebody is to `refill` from now on.
    pub(crate) fn find_short(&mut self, now: Time) -> Vec<Arc<Destination>> {
        if now < self.refill_check_at {
            return Vec::new();
        }
        self.refill_check_at = Time::NEVER;
        // It may have been set to 0 since the check was scheduled.
        if self.wanted_idle() == 0 {
            return Vec::new();
        }
        let mut short = Vec::new();
        for id in 0..self.entries.len() as DestinationId {
            if short.len() == MOST_AT_ONCE {
                self.refill_check_at = now;
                break;
            }
            self.forget_if_given_up(id, now);
            let Some(due) = self.refill_due(id, now) else {
                continue;
            };
            if due > now {
                self.refill_check_at = self.refill_check_at.min(due);
                continue;
            }
            if self.queue.waiting() > 0 || !self.find_room_to_refill(id) {
                self.is_refill_blocked = true;
                continue;
            }
            let entry = self.entry(id);
            entry.refill.pace_mut().is_running = true;
            short.push(entry.destination.clone());
        }
        short
    }

    /// `None`: it needs nothing now.
    fn refill_due(&mut self, id: DestinationId, now: Time) -> Option<Time> {
        let entry = self.known(Some(id))?;
        let is_short = entry.shelf.len() + entry.checking < self.wanted_idle();
        let is_wanted = entry.refill.wanted_until > now;
        let pace = entry.refill.pace();
        let is_due = is_short && is_wanted && !pace.is_running;
        is_due.then(|| pace.not_before.max(pace.paced_until).max(now))
    }

    fn find_room_to_refill(&mut self, id: DestinationId) -> bool {
        self.limits.max_conns.is_none_or(|max| self.conns() < max)
            && self.find_obstacle(Some(id), Reuse::Allowed).is_none()
    }

    fn forget_if_given_up(&mut self, id: DestinationId, now: Time) {
        let Some(entry) = self.known(Some(id)) else {
            return;
        };
        let has_none = entry.shelf.len() + entry.borrowed == 0;
        if has_none && !entry.queue.is_empty() {
            self.is_refill_blocked = true;
            return;
        }
        let wanted_until = entry.refill.wanted_until;
        let entry = self.entry(id);
        if !has_none {
            if let Some(pace) = &mut entry.refill.pace {
                pace.empty_since = None;
            }
            return;
        }
        let since = *entry.refill.pace_mut().empty_since.get_or_insert(now);
        let until = since.after(KEPT_EMPTY).min(wanted_until);
        if until <= now {
            entry.refill.wanted_until = Time::default();
            self.forget_if_empty(id);
        } else {
            self.refill_check_at = self.refill_check_at.min(until);
        }
    }

    /// The right to dial one more for a destination that `find_short` named; `None` ends the job.
    pub(crate) fn take_for_refill(
        &mut self,
        destination: &Arc<Destination>,
        now: Time,
    ) -> Option<(DialRight, Arc<Destination>)> {
        let wanted = self.wanted_idle();
        if self.queue.waiting() > 0 {
            self.is_refill_blocked = true;
        } else if self.may_refill(destination, now) {
            match self.try_for_idle(destination, wanted, now) {
                Ok(Some(taken)) => {
                    self.entry(taken.0.destination).refill.pace_mut().dials += 1;
                    return Some(taken);
                }
                Ok(None) => {}
                // fail_fast_ms: not now.
                Err(NotForIdle::Refused(Refusal::FailedBefore(_))) => {
                    self.refill_failed(destination, now);
                    return None;
                }
                Err(_) => self.is_refill_blocked = true,
            }
        }
        self.end_refill(destination);
        None
    }

    /// A limit or somebody's wait was in the way, and may not be any more.
    pub(super) fn recheck_refill_if_blocked(&mut self, now: Time) {
        if std::mem::take(&mut self.is_refill_blocked) {
            self.schedule_refill_check(now);
        }
    }

    /// Against a server that accepts and closes: without a borrow no more dials a second than are
    /// wanted idle.
    fn may_refill(&mut self, destination: &Destination, now: Time) -> bool {
        let wanted = self.wanted_idle();
        let Some(id) = self.index.find(destination) else {
            return false;
        };
        let pace = self.entry(id).refill.pace_mut();
        let second_ends = pace.second_began.after(FIRST_PAUSE);
        if second_ends <= now {
            pace.second_began = now;
            pace.dials = 0;
        }
        if pace.dials < wanted {
            return true;
        }
        pace.paced_until = second_ends;
        self.refill_check_at = self.refill_check_at.min(second_ends);
        false
    }

    fn end_refill(&mut self, destination: &Destination) -> Option<&mut RefillPace> {
        let id = self.index.find(destination)?;
        let pace = self.entry(id).refill.pace.as_mut()?;
        pace.is_running = false;
        Some(pace)
    }

    /// Somebody's dial succeeded: the destination works.
    pub(super) fn clear_refill_failures(&mut self, id: DestinationId) {
        if let Some(pace) = &mut self.entry(id).refill.pace {
            pace.failures = 0;
            pace.not_before = Time::default();
            pace.empty_since = None;
        }
    }

    /// The job is over: the destination is left alone for a while.
    pub(crate) fn refill_failed(&mut self, destination: &Destination, now: Time) {
        if let Some(pace) = self.end_refill(destination) {
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(pace.failures.min(6));
            pace.failures += 1;
            pace.not_before = now.after(pause.min(LONGEST_PAUSE));
            let again = pace.not_before;
            self.refill_check_at = self.refill_check_at.min(again);
        }
    }
}
