//! on_idle: when an idle connection is to be asked about, and what becomes of it meanwhile.
//!
//! A connection that is asked about keeps its place on its shelf, and counts as borrowed. The
//! engine finds who is due (`start_checkers`); checkers, one thread each, take one after another
//! (`take_check`) and bring it back (`end_check`).
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

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
    /// When, with its node of the idle list.
    due: BTreeMap<(Time, u64), u32>,
    due_of: BTreeMap<u64, Time>,
    /// Those whose time has come; one that has left its shelf since is in `due_of` no more.
    ready: VecDeque<(Time, u64, u32)>,
    checkers: usize,
}

impl IdleChecks {
    fn add(&mut self, conn: u64, node: u32, at: Time) {
        self.due.insert((at, conn), node);
        self.due_of.insert(conn, at);
    }

    /// It is idle no more.
    pub(super) fn remove(&mut self, conn: u64) {
        if let Some(at) = self.due_of.remove(&conn) {
            self.due.remove(&(at, conn));
        }
    }

    fn next(&self) -> Time {
        self.due
            .first_key_value()
            .map_or(Time::NEVER, |(&(at, _), _)| at)
    }

    fn collect_ready(&mut self, now: Time) {
        while let Some(first) = self.due.first_entry() {
            let &(at, conn) = first.key();
            if at > now {
                break;
            }
            self.ready.push_back((at, conn, first.remove()));
        }
    }

    /// The next one that still is where it was.
    fn next_ready(&mut self) -> Option<(u64, u32)> {
        loop {
            let (at, conn, node) = self.ready.pop_front()?;
            if self.due_of.get(&conn) == Some(&at) {
                self.due_of.remove(&conn);
                return Some((conn, node));
            }
        }
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
    pub(super) fn schedule_check(&mut self, conn: u64, node: u32, from: Time) {
        if let Some(every) = self.checks.every {
            let at = from.after(every);
            self.checks.add(conn, node, at);
            self.idle_deadline = self.idle_deadline.min(at);
        }
    }

    /// How many checkers are to be started; when to look again.
    pub(crate) fn start_checkers(&mut self, now: Time) -> (usize, Time) {
        self.checks.collect_ready(now);
        let free = MOST_CHECKERS_OF_POOL - self.checks.checkers;
        let wanted = self.checks.ready.len().min(free);
        self.checks.checkers += wanted;
        (wanted, self.checks.next())
    }

    /// No thread could be had for a checker.
    pub(crate) fn stop_checker(&mut self, now: Time) {
        self.checks.checkers -= 1;
        self.idle_deadline = self.idle_deadline.min(now.after(NO_THREAD_PAUSE));
    }

    /// The next connection to be asked about; `None` ends the checker.
    pub(crate) fn take_check(&mut self, now: Time, effects: &mut Effects<C>) -> Option<(C, Check)> {
        while let Some((conn, node)) = self.checks.next_ready() {
            let Some(id) = self.idle.destination_of(node, conn) else {
                continue;
            };
            let taken = self.take_if_due(conn, node, id, now, effects);
            if taken.is_some() {
                return taken;
            }
        }
        self.checks.checkers -= 1;
        None
    }

    fn take_if_due(
        &mut self,
        conn: u64,
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
            self.schedule_check(conn, node, now);
            return None;
        }
        let since = self.idle.since(node);
        if since.after(every) > now {
            self.schedule_check(conn, node, since);
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
        self.schedule_check(conn.id(), spot.node, now);
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
