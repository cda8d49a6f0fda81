//! What is freed and not told yet. In a pool with on_event, an event is told before anything that
//! it makes possible (contract, section 4), and without the lock. So what a close, a give-back or
//! the end of a dial frees is published in two steps under the lock, with the event between them:
//!
//! | what ends | step one | told | step two |
//! |---|---|---|---|
//! | a connection | its slot still counts | CLOSED | [`State::told`] frees the slot |
//! | a borrow | it still counts as borrowed | RELEASED | [`State::finish_give_back`] |
//! | a dial | its turn, or its turn and slot, still count | DIAL_DONE, DIAL_FAILED | `told` |
//! | a wait | it still counts against max_waiters | WAIT_DONE | [`State::wait_told`] |
//!
//! A pool without on_event takes one step: nothing is ever untold. A dial that finds only untold
//! things in its way waits, so that no caller is refused for what is about to be free. A borrower's
//! own closes are told by its own thread before its dial: its `take` may use their slot at once.
#![forbid(unsafe_code)]

use super::answer::{Disposition, Effects, Take, Ticket, Untold};
use super::counters::CloseCause;
use super::give_back::Assignment;
use super::held::Held;
use super::{DestinationId, State};
use crate::values::clock::Time;

/// A connection that is given back and kept, which has not been told.
#[derive(Debug)]
pub(crate) struct Returning<C> {
    pub(crate) conn: C,
    /// Idle room is reserved for it.
    has_room: bool,
}

/// Of one destination, or of the pool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UntoldCounts {
    pub(super) slots: u32,
    /// Of those, the ones of the `take` that runs.
    own_slots: u32,
    pub(super) turns: u32,
    /// Borrowed connections that are about to be free.
    pub(super) returning: u32,
    /// Of those, the ones that have idle room reserved.
    pub(super) arriving: u32,
}

impl UntoldCounts {
    /// Slots that are not free, for the `take` that runs, or for others.
    pub(super) fn held_slots(&self, for_taker: bool) -> u32 {
        self.slots - if for_taker { self.own_slots } else { 0 }
    }

    pub(super) fn is_none(&self) -> bool {
        self.slots == 0 && self.turns == 0
    }
}

impl<C: Held> State<C> {
    /// Of a pool with on_event.
    pub(crate) fn observed(self) -> Self {
        Self {
            is_observed: true,
            ..self
        }
    }

    /// Counts what must be told before it is free. In a closed pool nothing can use it.
    pub(super) fn hold_until_told(
        &mut self,
        destination: DestinationId,
        slots: u32,
        turns: u32,
    ) -> Option<Untold> {
        if !self.is_observed || self.is_closed {
            return None;
        }
        let own_slots = if self.taker.is_some() { slots } else { 0 };
        for counts in self.untold_of(destination) {
            counts.slots += slots;
            counts.own_slots += own_slots;
            counts.turns += turns;
        }
        Some(Untold {
            destination,
            slots,
            turns,
            unfetched: None,
        })
    }

    fn untold_of(&mut self, id: DestinationId) -> [&mut UntoldCounts; 2] {
        let Self {
            entries, untold, ..
        } = self;
        match &mut entries[id as usize] {
            Some(entry) => [&mut entry.untold, untold],
            None => unreachable!("destination {id} has something untold, so it is known"),
        }
    }

    fn release(&mut self, untold: Untold) {
        for counts in self.untold_of(untold.destination) {
            counts.slots -= untold.slots;
            counts.turns -= untold.turns;
        }
    }

    /// Its event has been told: what it frees is free.
    pub(crate) fn told(&mut self, untold: Untold, now: Time, effects: &mut Effects<C>) {
        self.release(untold);
        let unfetched = untold.unfetched;
        let unfetched = unfetched.and_then(|ticket| self.unfetched.remove(&ticket));
        self.pass_on(unfetched, untold.destination, now, effects);
    }

    /// A connection that a dial was answered with goes on, still as a borrowed one, when the dial's
    /// end has been told.
    pub(super) fn hold_unfetched(&mut self, untold: Untold, dial: Ticket, conn: C) -> Untold {
        self.unfetched.insert(dial, conn);
        Untold {
            unfetched: Some(dial),
            ..untold
        }
    }

    /// WAIT_DONE has been told: the waiter no longer counts against max_waiters.
    pub(crate) fn wait_told(&mut self, ticket: Ticket) {
        if self.queue.untold.remove(&ticket) {
            self.queue.limited -= 1;
        }
    }

    /// A `take` begins: what it closes, its thread tells before it dials, so that it may use those
    /// slots. Other waiters may not.
    pub(super) fn begin_take(&mut self, ticket: Ticket) {
        self.taker = self.is_observed.then_some(ticket);
        self.is_for_taker = self.queue.waiting() == 0;
    }

    /// The right to dial that was taken has one of the slots that were freed for it; the other ones
    /// are held until they are told.
    pub(super) fn end_take(&mut self, taken: &Take<C>, effects: &mut Effects<C>) {
        self.is_for_taker = false;
        if self.taker.take().is_none() {
            return;
        }
        let mut own: Vec<_> = effects
            .closes
            .iter_mut()
            .map(|one| &mut one.untold)
            .collect();
        for untold in own.iter().filter_map(|untold| **untold) {
            for counts in self.untold_of(untold.destination) {
                counts.own_slots = 0;
            }
            self.refresh(untold.destination);
        }
        let Take::Dial(right, _) = taken else {
            return;
        };
        own.sort_by_key(|untold| untold.map(|one| one.destination != right.destination));
        if let Some(untold) = own.into_iter().find_map(Option::take) {
            self.release(untold);
            self.forget_if_empty(untold.destination);
        }
    }

    /// Takes a connection back in a pool with on_event. `None`: it is closed. Else RELEASED is to
    /// be told, and then `finish_give_back` called.
    pub(crate) fn begin_give_back(
        &mut self,
        id: DestinationId,
        conn: C,
        disposition: Disposition,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<Returning<C>> {
        self.end_borrow(id);
        match self.find_place(id, &conn, disposition, now, effects) {
            Ok(assignment) => {
                let has_room = matches!(assignment, Assignment::Keep);
                conn.on_returned();
                self.begin_borrow(id);
                for counts in self.untold_of(id) {
                    counts.returning += 1;
                    counts.arriving += u32::from(has_room);
                }
                self.refresh(id);
                Some(Returning { conn, has_room })
            }
            Err(cause) => {
                self.close_conn(conn, cause, effects);
                self.settle(id, now, effects);
                None
            }
        }
    }

    /// RELEASED has been told: the connection goes to a waiter, or is idle. It may have become
    /// unfit meanwhile.
    pub(crate) fn finish_give_back(
        &mut self,
        returning: Returning<C>,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        let Returning { conn, has_room } = returning;
        let id = conn.destination_id();
        for counts in self.untold_of(id) {
            counts.returning -= 1;
            counts.arriving -= u32::from(has_room);
        }
        self.counters.releases += 1;
        self.settle_in(id, conn, Disposition::Keep, now, effects);
    }

    /// What a connection that is given back is used for, or why it is closed. It must not be
    /// counted at this moment.
    fn find_place(
        &mut self,
        id: DestinationId,
        conn: &C,
        disposition: Disposition,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<Assignment, CloseCause> {
        if let Disposition::Close(cause) = self.disposition(conn, disposition, now) {
            return Err(cause);
        }
        self.refresh(id);
        match self.best_assignment(id, now, effects) {
            Assignment::FreeTheSlot => Err(CloseCause::Evicted),
            Assignment::Keep if self.no_idle_room(id).is_some() => Err(CloseCause::IdleFull),
            assignment => Ok(assignment),
        }
    }
}
