//! on_idle: when an idle connection is to be asked about, and what becomes of it meanwhile.
//!
//! A connection that is asked about keeps its place on its shelf, and counts as borrowed. The
//! engine finds who is due (`start_checkers`); checkers, one thread each, take one after another
//! (`take_check`) and bring it back (`end_check`).
#![forbid(unsafe_code)]

mod due;

use std::collections::TryReserveError;
use std::time::Duration;

use self::due::DueNodes;
use super::answer::{Disposition, Effects};
use super::counters::CloseCause;
use super::held::Held;
use super::{DestinationId, State};
use crate::values::clock::Time;

/// Checkers of one pool at once. More would find no thread: the process has as many for all pools
/// (`thread_pool::helpers`, the lane `Check`).
const MOST_CHECKERS_OF_POOL: usize = 16;
/// When no thread can be had for a checker, the engine tries again after so long.
const NO_THREAD_PAUSE: Duration = Duration::from_millis(50);

/// Which idle connections are to be asked about, and when. Empty unless there is an on_idle.
#[derive(Debug, Default)]
pub(super) struct IdleChecks {
    /// How often each is asked about.
    every: Option<Duration>,
    /// By the node of the idle list.
    due: DueNodes,
    checkers: usize,
}

impl IdleChecks {
    /// Sees to it that nodes with numbers below this one find room.
    pub(super) fn try_reserve(&mut self, nodes: usize) -> Result<(), TryReserveError> {
        match self.every {
            Some(_) => self.due.try_reserve(nodes),
            None => Ok(()),
        }
    }

    /// So many nodes find room without memory being asked for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.due.capacity()
    }

    /// What was in that node is idle no more.
    pub(super) fn remove(&mut self, node: u32) {
        self.due.remove(node);
    }

    pub(super) fn trim(&mut self) {
        self.due.trim();
    }

    /// When the first one is due, if none is now.
    fn next_after(&self, now: Time) -> Time {
        let first = self.due.first().filter(|&(_, at)| at > now);
        first.map_or(Time::NEVER, |(_, at)| at)
    }

    /// When a checker more is of use: at once, if one is due now that nobody will take soon.
    fn next_for_another(&self, now: Time) -> Time {
        match self.due.first() {
            Some((_, at)) if at > now || self.checkers < MOST_CHECKERS_OF_POOL => at,
            _ => Time::NEVER,
        }
    }

    /// The next one whose time had come by then.
    fn take_due(&mut self, by: Time) -> Option<u32> {
        let (node, at) = self.due.first()?;
        let is_due = at <= by;
        is_due.then(|| {
            self.due.remove(node);
            node
        })
    }
}

/// Where a connection that is asked about was idle, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) node: u32,
    pub(super) since: Time,
}

/// Where a connection that is kept goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The newest of its shelf.
    Newest,
    /// Where on_idle was asked about it.
    Spot(Spot),
}

/// While on_idle is asked about an idle connection: where it comes from.
#[derive(Debug)]
pub(crate) struct Check {
    spot: Spot,
    /// How often close_idle had been called.
    closings: u32,
}

impl<C: Held> State<C> {
    /// Of a pool with on_idle.
    pub(crate) fn checking_every(mut self, every: Option<Duration>) -> Self {
        self.checks.every = every;
        self
    }

    /// One became idle, or was asked about.
    pub(super) fn schedule_check(&mut self, node: u32, from: Time) {
        if let Some(every) = self.checks.every {
            let at = from.after(every);
            self.checks.due.insert(node, at);
            self.idle_deadline = self.idle_deadline.min(at);
        }
    }

    /// How many checkers are to be started; when to look again. What is due now is theirs, and each
    /// that takes one tells when another one is of use (`take_check`).
    pub(crate) fn start_checkers(&mut self, now: Time) -> (usize, Time) {
        let free = MOST_CHECKERS_OF_POOL - self.checks.checkers;
        let wanted = self.checks.due.count(now, free);
        self.checks.checkers += wanted;
        (wanted, self.checks.next_after(now))
    }

    /// No thread could be had for a checker.
    pub(crate) fn stop_checker(&mut self, now: Time) {
        self.checks.checkers -= 1;
        self.idle_deadline = self.idle_deadline.min(now.after(NO_THREAD_PAUSE));
    }

    /// The next connection to be asked about, of those that were due when the checker began; `None`
    /// ends it. So the checkers of one pool do not keep their threads from those of another.
    pub(crate) fn take_check(
        &mut self,
        began: Time,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<(C, Check)> {
        while !self.is_closed {
            let Some(node) = self.checks.take_due(began) else {
                break;
            };
            let Some(id) = self.idle.held(node).map(Held::destination_id) else {
                continue;
            };
            let taken = self.take_if_due(node, id, now, effects);
            if taken.is_some() {
                let next = self.checks.next_for_another(now);
                self.idle_deadline = self.idle_deadline.min(next);
                return taken;
            }
        }
        self.checks.checkers -= 1;
        let next = self.checks.next_for_another(now);
        self.idle_deadline = self.idle_deadline.min(next);
        None
    }

    fn take_if_due(
        &mut self,
        node: u32,
        id: DestinationId,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<(C, Check)> {
        let every = self.checks.every?;
        let checked_out = self.idle.held(node)?.checked_out();
        self.count_loans(checked_out.loans);
        // The fast path has it, or had it a moment ago.
        if checked_out.is_out {
            self.schedule_check(node, now);
            return None;
        }
        let since = self.idle.since(node);
        if since.after(every) > now {
            self.schedule_check(node, since);
            return None;
        }
        if let Some(cause) = self.expired(self.idle.held(node)?, since, now) {
            self.close_idle_node(node, id, cause, effects);
            return None;
        }
        if !self.revoke(node, id) {
            return None;
        }
        // It may have been out and back since.
        let since = self.idle.since(node);
        let Self { entries, idle, .. } = self;
        let entry = entries[id as usize].as_mut()?;
        let conn = idle.lend_node(&mut entry.shelf, node)?;
        entry.checking += 1;
        self.begin_borrow(id);
        self.refresh(id);
        let check = Check {
            spot: Spot { node, since },
            closings: self.closings,
        };
        Some((conn, check))
    }

    /// on_idle has returned. The connection goes to its oldest waiter, or back to its place on the
    /// shelf as if it had not been asked about, or is closed. True if it is kept or handed on.
    pub(crate) fn end_check(
        &mut self,
        conn: C,
        check: Check,
        disposition: Disposition,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        let Check { spot, closings } = check;
        let id = conn.destination_id();
        self.counters.idle_checks += 1;
        self.entry(id).checking -= 1;
        self.end_borrow(id);
        let disposition = match self.disposition(&conn, disposition, now) {
            Disposition::Keep if closings != self.closings => {
                Disposition::Close(CloseCause::Evicted)
            }
            disposition => disposition,
        };
        match disposition {
            Disposition::Keep => self.assign_to(Place::Spot(spot), conn, id, now, effects),
            Disposition::Close(cause) => {
                self.drop_spot(spot, id);
                self.close_conn(conn, cause, effects);
                self.settle(id, now, effects);
                false
            }
        }
    }

    pub(super) fn drop_spot(&mut self, spot: Spot, id: DestinationId) {
        let Self { entries, idle, .. } = self;
        if let Some(Some(entry)) = entries.get_mut(id as usize) {
            idle.drop_node(&mut entry.shelf, spot.node);
        }
    }

    /// Puts it back where it was, as if it had been idle all the time.
    pub(super) fn return_to_spot(&mut self, conn: C, spot: Spot, id: DestinationId, now: Time) {
        self.schedule_check(spot.node, now);
        let allows_fast_path = self.keeping.allows_fast_path();
        let due = super::closing::due_after_keeping(&self.keeping, &conn, spot.since);
        self.idle_deadline = self.idle_deadline.min(due);
        let Self { entries, idle, .. } = self;
        if let Some(Some(entry)) = entries.get_mut(id as usize) {
            conn.make_idle(spot.since, allows_fast_path && !entry.queue.has_fresh());
            idle.return_node(&mut entry.shelf, spot.node, conn);
        }
    }
}
