//! Giving: a connection comes back, is taken in, or leaves for good.
#![forbid(unsafe_code)]

use super::answer::{Effects, Fate, Forgotten, Refusal};
use super::{DestinationId, State};
use crate::pool::shelf::Held;
use crate::pool::stats::Cause;
use crate::sync::Arc;
use crate::values::address::Destination;
use crate::values::clock::Time;

impl<C: Held> State<C> {
    /// The one way back.
    pub(crate) fn give_back(
        &mut self,
        id: DestinationId,
        conn: C,
        fate: Fate,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        self.end_borrow(id);
        match self.fate(id, &conn, fate, now) {
            Fate::Keep => {
                self.counters.releases += 1;
                // `reap` may have dropped it a moment ago, when it was borrowed and its time had just come.
                self.note_lifetime(&conn);
                self.shelve(conn, id, now);
            }
            Fate::Close(cause) => {
                self.close(conn, cause, effects);
                self.forget_if_empty(id);
            }
        }
    }

    fn fate(&mut self, id: DestinationId, conn: &C, fate: Fate, now: Time) -> Fate {
        if fate != Fate::Keep {
            return fate;
        }
        Fate::Close(if self.is_closed {
            Cause::PoolClosed
        } else if self.keeping.max_uses.is_some_and(|max| conn.uses() >= max) {
            Cause::MaxUses
        } else if conn.retire_at() <= now {
            Cause::Lifetime
        } else if self.no_idle_room(id).is_some() {
            Cause::IdleFull
        } else {
            return Fate::Keep;
        })
    }

    pub(super) fn no_idle_room(&mut self, id: DestinationId) -> Option<Refusal> {
        let max = self.limits.max_idle_per_address;
        if self.entry(id).shelf.len() >= max {
            return Some(Refusal::IdleFull {
                limit: "max_idle_per_address",
                max,
            });
        }
        let max = self.limits.max_idle?;
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
        if admitted.is_err() {
            self.forget_if_empty(id);
        }
        admitted
    }

    fn admit_to<E: From<Refusal>>(
        &mut self,
        id: DestinationId,
        build: impl FnOnce(DestinationId, Arc<Destination>) -> Result<C, E>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<(), (Option<C>, E)> {
        if let Some(refusal) = self.no_idle_room(id) {
            return Err((None, refusal.into()));
        }
        let destination = self.entry(id).destination.clone();
        let conn = build(id, destination.clone()).map_err(|error| (None, error))?;
        if let Err(refusal) = self.make_room(&destination, false, effects) {
            return Err((Some(conn), refusal.into()));
        }
        self.counters.puts += 1;
        self.note_lifetime(&conn);
        self.shelve(conn, id, now);
        Ok(())
    }

    /// A borrowed connection becomes the program's: the pool no longer counts it.
    pub(crate) fn forget(&mut self, id: DestinationId, conn: &C, how: Forgotten) {
        match how {
            Forgotten::Detached => self.counters.detached += 1,
            Forgotten::Got => self.counters.gets += 1,
        }
        self.retiring.remove(&(conn.retire_at(), conn.id()));
        self.end_borrow(id);
        self.forget_if_empty(id);
    }
}
