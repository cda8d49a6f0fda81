//! Giving: a connection comes back, is taken in, or leaves for good.
#![forbid(unsafe_code)]

use super::answer::{Effects, Fate, Forgotten, Refusal, Reuse};
use super::counters::CloseCause;
use super::idle_list::Held;
use super::{DestinationId, State};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;

impl<C: Held> State<C> {
    /// The one way back; false if it is closed.
    pub(crate) fn give_back(
        &mut self,
        id: DestinationId,
        conn: C,
        fate: Fate,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        let is_kept = self.settle_in(id, conn, fate, now, effects);
        self.counters.releases += u64::from(is_kept);
        is_kept
    }

    fn fate(&self, conn: &C, fate: Fate, now: Time) -> Fate {
        if fate != Fate::Keep {
            return fate;
        }
        // Asked under the lock, because the engine marks a hang-up under it, as abort and evict do: nothing can come between
        // this look and the shelf.
        Fate::Close(if let Some(cause) = conn.unfit() {
            cause
        } else if self.is_closed {
            CloseCause::PoolClosed
        } else if self.keeping.max_uses.is_some_and(|max| conn.uses() >= max) {
            CloseCause::MaxUses
        } else if conn.retire_at() <= now {
            CloseCause::Lifetime
        } else {
            return Fate::Keep;
        })
    }

    pub(super) fn no_idle_room(&mut self, id: DestinationId) -> Option<Refusal> {
        let max = self.limits.max_idle_per_address;
        if self.entry(id).shelf.len() >= max {
            self.call_in(id);
        }
        if self.entry(id).shelf.len() >= max {
            return Some(Refusal::IdleFull {
                limit: "max_idle_per_address",
                max,
            });
        }
        let max = self.limits.max_idle?;
        if self.shelves.len() >= max {
            self.call_in_until(|state| state.shelves.len() < max);
        }
        (self.shelves.len() >= max).then_some(Refusal::IdleFull {
            limit: "max_idle",
            max,
        })
    }

    /// The program gives the pool a connection of its own, which `build` makes once there is room to keep it. A refusal
    /// gives it back.
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
        if let Some(obstacle) = self.limit(Some(id), Reuse::Allowed) {
            let refusal = Refusal::Exhausted(self.numbers(Some(obstacle)));
            return Err((Some(conn), refusal.into()));
        }
        self.make_room(Some(id), Reuse::Allowed, effects);
        self.counters.puts += 1;
        self.place(conn, id, now, effects);
        Ok(())
    }

    /// The same for one that was dialed for nobody. False if it was closed.
    pub(crate) fn settle_in(
        &mut self,
        id: DestinationId,
        conn: C,
        fate: Fate,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        self.end_borrow(id);
        match self.fate(&conn, fate, now) {
            Fate::Keep => self.place(conn, id, now, effects),
            Fate::Close(cause) => {
                self.close(conn, cause, effects);
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
        self.note_short(now);
        conn.goes();
        self.end_borrow(id);
        self.settle(id, now, effects);
    }
}
