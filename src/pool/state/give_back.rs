//! Giving: a connection comes back, is taken in, or leaves for good.
#![forbid(unsafe_code)]

use super::answer::{Disposition, Effects, Forgotten, Refusal, Reuse, Ticket};
use super::counters::CloseCause;
use super::held::Held;
use super::idle_checks::Place;
use super::{DestinationId, State};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;

/// What a connection that became free is used for.
pub(super) enum Assignment {
    HandTo(Ticket),
    /// To a dial in flight.
    Answer(Ticket),
    /// Its slot is worth more than itself.
    FreeTheSlot,
    Keep,
}

impl<C: Held> State<C> {
    /// The one way back; false if it is closed.
    pub(crate) fn give_back(
        &mut self,
        id: DestinationId,
        conn: C,
        disposition: Disposition,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        let is_kept = self.settle_in(id, conn, disposition, now, effects);
        self.counters.releases += u64::from(is_kept);
        is_kept
    }

    /// on_release looks at one in the background: it stays borrowed.
    pub(crate) fn begin_release(&mut self) {
        self.releasing += 1;
    }

    /// It has looked.
    pub(crate) fn end_release(&mut self) {
        self.releasing -= 1;
    }

    /// It is not kept, whatever its borrower and on_release say: evicted, or at the end of its
    /// uses.
    pub(crate) fn is_used_up(&self, conn: &C) -> bool {
        self.is_evicted(conn) || self.is_at_last_use(conn)
    }

    /// It has been borrowed max_uses times.
    pub(super) fn is_at_last_use(&self, conn: &C) -> bool {
        let max_uses = self.keeping.max_uses;
        max_uses.is_some_and(|max| conn.uses() >= max)
    }

    pub(super) fn disposition(&self, conn: &C, disposition: Disposition, now: Time) -> Disposition {
        if disposition != Disposition::Keep {
            return disposition;
        }
        // Asked under the lock, because the engine marks a hang-up under it, as abort does:
        // nothing can come between this look and the shelf.
        Disposition::Close(if let Some(cause) = conn.unfit() {
            cause
        } else if self.is_evicted(conn) {
            CloseCause::Evicted
        } else if self.is_closed {
            CloseCause::PoolClosed
        } else if self.is_at_last_use(conn) {
            CloseCause::MaxUses
        } else if conn.retire_at() <= now {
            CloseCause::Lifetime
        } else if self.is_above_a_limit(conn.destination_id()) {
            CloseCause::Evicted
        } else {
            return Disposition::Keep;
        })
    }

    /// The program gives the pool a connection of its own, which `build` makes once there is room
    /// to keep it. A refusal gives it back.
    pub(crate) fn admit<E: From<Refusal>>(
        &mut self,
        destination: &Arc<Destination>,
        build: impl FnOnce(DestinationId, Arc<Destination>) -> Result<C, E>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<(), (Option<C>, E)> {
        if self.is_closed {
            return Err((None, Refusal::PoolClosed.into()));
        }
        let id = self.find_or_add(destination);
        let admitted = self.admit_to(id, build, now, effects);
        self.settle(id, now, effects);
        admitted
    }

    fn admit_to<E: From<Refusal>>(
        &mut self,
        id: DestinationId,
        build: impl FnOnce(DestinationId, Arc<Destination>) -> Result<C, E>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<(), (Option<C>, E)> {
        let is_awaited = self.oldest_who_takes_any(id).is_some()
            || self.flights.oldest_who_takes_any(id).is_some();
        if let (false, Some(refusal)) = (is_awaited, self.no_idle_room(id)) {
            return Err((None, refusal.into()));
        }
        let destination = self.entry(id).destination.clone();
        let conn = build(id, destination).map_err(|error| (None, error))?;
        if let Some(obstacle) = self.find_limit(Some(id), Reuse::Allowed) {
            let refusal = Refusal::Exhausted(self.numbers(Some(obstacle), Some(id)));
            return Err((Some(conn), refusal.into()));
        }
        self.make_room(Some(id), Reuse::Allowed, effects);
        conn.set_eviction_epoch(self.evictions);
        self.counters.puts += 1;
        self.assign(conn, id, now, effects);
        Ok(())
    }

    /// Takes in a connection that was dialed for no borrower. False if it was closed.
    pub(crate) fn settle_in(
        &mut self,
        id: DestinationId,
        conn: C,
        disposition: Disposition,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        self.end_borrow(id);
        match self.disposition(&conn, disposition, now) {
            Disposition::Keep => self.assign(conn, id, now, effects),
            Disposition::Close(cause) => {
                self.close_conn(conn, cause, effects);
                self.settle(id, now, effects);
                false
            }
        }
    }

    /// A borrowed connection becomes the program's: the pool no longer counts it.
    pub(crate) fn forget(
        &mut self,
        id: DestinationId,
        conn: &C,
        how: Forgotten,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        match how {
            Forgotten::Detached => self.counters.detached += 1,
            Forgotten::Got => self.counters.gets += 1,
        }
        self.retiring.remove(&(conn.retire_at(), conn.id()));
        self.schedule_refill_check(now);
        conn.on_removed();
        self.end_borrow(id);
        self.settle(id, now, effects);
    }

    /// A connection is in nobody's hands: its oldest waiter gets it, or somebody's slot is made of
    /// it, or it is kept. It must not be counted at this moment. False if it had to be closed.
    pub(super) fn assign(
        &mut self,
        conn: C,
        id: DestinationId,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        self.assign_to(Place::Newest, conn, id, now, effects)
    }

    pub(super) fn assign_to(
        &mut self,
        place: Place,
        conn: C,
        id: DestinationId,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        self.refresh(id);
        let best = self.best_assignment(id, now, effects);
        let is_kept = matches!(best, Assignment::Keep) && self.no_idle_room(id).is_none();
        if let (Place::Spot(spot), false) = (place, is_kept) {
            self.drop_spot(spot, id);
        }
        let is_used = match best {
            Assignment::HandTo(ticket) => {
                conn.on_returned();
                self.hand_to(ticket, conn, id, effects);
                true
            }
            Assignment::Answer(ticket) => {
                conn.on_returned();
                self.answer_dial(id, ticket, conn, effects);
                true
            }
            Assignment::FreeTheSlot => {
                self.close_conn(conn, CloseCause::Evicted, effects);
                false
            }
            Assignment::Keep if !is_kept => {
                self.close_conn(conn, CloseCause::IdleFull, effects);
                false
            }
            Assignment::Keep => {
                // `reap` may have dropped it a moment ago, when it was borrowed and its time had
                // just come.
                self.schedule_retirement(&conn);
                conn.on_returned();
                match place {
                    Place::Newest => self.make_idle(conn, id, now),
                    Place::Spot(spot) => self.return_to_spot(conn, spot, id, now),
                }
                true
            }
        };
        self.settle(id, now, effects);
        is_used
    }

    pub(super) fn best_assignment(
        &mut self,
        id: DestinationId,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Assignment {
        if self.queue.waiting() == 0 && self.flights.is_empty() {
            return Assignment::Keep;
        }
        loop {
            let own = self.oldest_who_takes_any(id);
            // Those before it are served by the slots that are about to be free.
            let other = self.slot_waiter_after(self.untold.slots);
            match (own, other) {
                (Some(own), other) if other.is_none_or(|other| own <= other) => {
                    return Assignment::HandTo(own);
                }
                (_, Some(_)) if self.serve_without_its_slot(id, now, effects) => {}
                (_, Some(_)) => return Assignment::FreeTheSlot,
                (_, None) => {
                    let dial = self.flights.oldest_who_takes_any(id);
                    return dial.map_or(Assignment::Keep, Assignment::Answer);
                }
            }
        }
    }

    /// A dial that ended in the same transition has freed more than the connection's slot, or its
    /// failure ends others.
    fn serve_without_its_slot(
        &mut self,
        id: DestinationId,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        self.begin_borrow(id);
        let is_served = self.serve_next(now, effects);
        self.end_borrow(id);
        self.refresh(id);
        is_served
    }
}
