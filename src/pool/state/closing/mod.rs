//! Time and death: what has grown too old, and what was found unfit while idle.
#![forbid(unsafe_code)]

pub(crate) mod unfinished;

use self::unfinished::Unfinished;
use super::answer::{Closed, Effects, Reaped, ARM_AFTER};
use super::counters::CloseCause;
use super::held::Held;
use super::{DestinationId, State};
use crate::values::address::Address;
use crate::values::clock::Time;
use crate::values::options::{Keeping, ReuseOrder};

/// The engine is told of so many connections at once that have come to their time.
const MOST_DUE: usize = 1024;

impl<C: Held> State<C> {
    /// Closes the connection `id` if it still is idle, in node `node`, and `choose` agrees.
    pub(crate) fn remove_idle(
        &mut self,
        node: u32,
        id: u64,
        choose: impl FnOnce(&C) -> Option<CloseCause>,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        let Some(destination) = self.idle.destination_of(node, id) else {
            return;
        };
        // Of a pool that is closed it is the closer's (`unfinished`).
        if self.is_closed {
            return;
        }
        if let Some(cause) = self.idle.held(node).and_then(choose) {
            self.close_idle_node(node, destination, cause, effects);
            self.serve(now, effects);
        }
    }

    /// Closes what has been idle for too long, and tells what else is due.
    pub(crate) fn reap(&mut self, now: Time, effects: &mut Effects<C>) -> Reaped {
        if let (Some(timeout), false) = (self.keeping.idle_timeout, self.is_closed) {
            let since = now.nanos().saturating_sub(timeout.as_nanos() as u64);
            self.idle.move_old(Time::from_nanos(since));
            while let Some((node, id, since)) = self.idle.oldest() {
                if since.after(timeout) > now || effects.are_many() {
                    break;
                }
                self.close_idle_node(node, id, CloseCause::IdleTimeout, effects);
            }
            self.serve(now, effects);
        }
        let retired = self.take_retired(now);
        let (to_arm, arm_next) = self.find_unarmed(now);
        Reaped {
            retired,
            to_arm,
            next: self.next_expiry().min(arm_next),
        }
    }

    /// Those whose lifetime has ended, as many as one look takes.
    fn take_retired(&mut self, now: Time) -> Vec<u64> {
        let mut retired = Vec::new();
        while let Some(&(at, id)) = self.retiring.first() {
            if at > now || retired.len() == MOST_DUE {
                break;
            }
            self.retiring.pop_first();
            retired.push(id);
        }
        retired
    }

    fn next_expiry(&mut self) -> Time {
        let idle = match (self.keeping.idle_timeout, self.idle.oldest()) {
            (Some(timeout), Some((_, _, since))) => since.after(timeout),
            _ => Time::NEVER,
        };
        let lifetime = self.retiring.first().map_or(Time::NEVER, |&(time, _)| time);
        idle.min(lifetime)
    }

    fn find_unarmed(&mut self, now: Time) -> (Vec<u64>, Time) {
        let mut due = Vec::new();
        let mut next = Time::NEVER;
        self.idle.move_new(self.armed_up_to, C::wants_arming);
        self.idle.newer_than(self.armed_up_to, |node, conn, since| {
            if !conn.wants_arming() {
            } else if due.len() == MOST_DUE {
                next = now;
            } else if since.after(ARM_AFTER) <= now {
                due.push((node, conn.destination_id(), conn.id()));
            } else {
                next = since.after(ARM_AFTER);
            }
        });
        // One that is out is looked at when it comes back.
        due.retain(|&(node, id, _)| !self.revoke_if_out(node, id));
        let to_arm = due.into_iter().map(|(.., conn)| conn).collect();
        if next > now {
            let seen = now.nanos().saturating_sub(ARM_AFTER.as_nanos() as u64);
            self.armed_up_to = self.armed_up_to.max(Time::from_nanos(seen));
        }
        (to_arm, next)
    }

    /// A connection that was closed for that cause turned out to have lost its number.
    pub(crate) fn count_as_foreign(&mut self, cause: CloseCause) {
        self.counters.was_foreign(cause);
    }

    pub(super) fn close_conn(&mut self, conn: C, cause: CloseCause, effects: &mut Effects<C>) {
        self.counters.closed(cause);
        self.retiring.remove(&(conn.retire_at(), conn.id()));
        self.schedule_refill_check(Time::default());
        conn.on_removed();
        let untold = self.hold_until_told(conn.destination_id(), 1, 0);
        effects.closes.push(Closed {
            conn,
            cause,
            untold,
        });
    }

    pub(super) fn close_idle_node(
        &mut self,
        node: u32,
        id: DestinationId,
        cause: CloseCause,
        effects: &mut Effects<C>,
    ) {
        if let Some((conn, _)) = self.revoke_and_remove(node, id) {
            self.close_conn(conn, cause, effects);
        }
        self.refresh(id);
        self.forget_if_empty(id);
    }

    /// Closes everything that is idle.
    pub(crate) fn close_idle(
        &mut self,
        cause: CloseCause,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Unfinished {
        self.closings += 1;
        let mut unfinished = Unfinished::closing_oldest(self.idle.len(), cause);
        self.go_on(&mut unfinished, now, effects);
        unfinished
    }

    /// Closes the longest idle connection of all, to give its descriptor back to the system.
    pub(crate) fn close_longest_idle(&mut self, now: Time, effects: &mut Effects<C>) -> bool {
        if self.is_closed {
            return false;
        }
        let oldest = self.revoke_oldest_idle(None);
        if let Some((node, id)) = oldest {
            self.close_idle_node(node, id, CloseCause::Evicted, effects);
        }
        self.serve(now, effects);
        oldest.is_some()
    }

    /// Nothing is handed out or kept any more, by the fast path neither.
    pub(crate) fn begin_close(&mut self) {
        self.is_closed = true;
        self.revoke_all();
    }

    /// The pool ends: what is idle is closed, and who waits or dials is told.
    pub(crate) fn close(&mut self, now: Time, effects: &mut Effects<C>) -> Unfinished {
        self.begin_close();
        self.closings += 1;
        let cause = CloseCause::PoolClosedWhileIdle;
        let unfinished = Unfinished::closing_oldest(self.idle.len(), cause);
        let mut unfinished = unfinished.ending_waits_and_dials();
        self.go_on(&mut unfinished, now, effects);
        unfinished
    }

    /// Closes what is idle at one address, whatever the tag, and makes what is borrowed there be
    /// closed when it comes back ([`Self::is_evicted`]); `None`: everywhere. Other destinations
    /// keep their fast path.
    pub(crate) fn evict(
        &mut self,
        address: Option<&Address>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Unfinished {
        self.evictions += 1;
        let evictions = self.evictions;
        let Some(address) = address else {
            self.evicted_at = evictions;
            self.revoke_all();
            return self.close_idle(CloseCause::Evicted, now, effects);
        };
        let mut unfinished = Unfinished::default();
        let mut last = None;
        while let Some((place, id)) = self.index.next_at(address, last) {
            self.entry(id).evicted_at = evictions;
            self.close_evicted_of(id, effects);
            last = Some(place);
        }
        if effects.are_many() {
            unfinished = Unfinished::closing_evicted();
        }
        self.serve(now, effects);
        unfinished
    }

    /// Closes what is idle of an evicted destination, the longest idle first.
    pub(super) fn close_evicted_of(&mut self, id: DestinationId, effects: &mut Effects<C>) {
        let (order, cause) = (ReuseOrder::Fifo, CloseCause::Evicted);
        self.close_all_of(id, order, Self::is_evicted, cause, effects);
    }

    /// Closes what is idle and has been borrowed as often as a lowered max_uses allows. The newest
    /// first, because what was lent lately is there.
    pub(super) fn close_used_up_of(&mut self, id: DestinationId, effects: &mut Effects<C>) {
        if self.keeping.max_uses.is_some() {
            let (order, cause) = (ReuseOrder::Lifo, CloseCause::MaxUses);
            self.close_all_of(id, order, Self::is_at_last_use, cause, effects);
        }
    }

    fn close_all_of(
        &mut self,
        id: DestinationId,
        order: ReuseOrder,
        is_one: impl Fn(&Self, &C) -> bool,
        cause: CloseCause,
        effects: &mut Effects<C>,
    ) {
        let mut next = self.known(Some(id)).and_then(|it| it.shelf.first(order));
        while let (Some(node), false) = (next, effects.are_many()) {
            next = self.idle.next_on_shelf(node, order);
            if self.idle.held(node).is_some_and(|conn| is_one(self, conn)) {
                self.close_idle_node(node, id, cause, effects);
            }
        }
    }

    /// Its destination was evicted while it was borrowed.
    pub(super) fn is_evicted(&self, conn: &C) -> bool {
        let own = self.known(Some(conn.destination_id()));
        let own = own.map_or(0, |entry| entry.evicted_at);
        conn.eviction_epoch() < own.max(self.evicted_at)
    }
}

/// When the engine has to look at a connection that is idle from now on: at most this late.
pub(super) fn due_after_keeping<C: Held>(keeping: &Keeping, conn: &C, now: Time) -> Time {
    let arm = if conn.wants_arming() {
        now.after(ARM_AFTER)
    } else {
        Time::NEVER
    };
    let idle = keeping
        .idle_timeout
        .map_or(Time::NEVER, |timeout| now.after(timeout));
    arm.min(idle).min(conn.retire_at())
}
