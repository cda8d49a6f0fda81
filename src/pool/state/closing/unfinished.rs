//! What a close, an evict or new limits have begun and one transition could not do: it has as many
//! effects as fit (`answer::Effects`).
//!
//! Who began it goes on with it, on the same thread, because there the program hears of what is
//! closed. Nobody else closes what is idle in a pool that is closed.
#![forbid(unsafe_code)]

use crate::pool::state::answer::{Effects, Refusal, Take, Ticket};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::{DestinationId, State};
use crate::values::clock::Time;

/// What is done to one destination after another.
#[derive(Clone, Copy, Debug)]
enum Sweep {
    /// Closes what is idle and was evicted.
    Evicted,
    /// Closes what is idle and has no uses left, and what is above the limits, of each and then of
    /// all.
    AboveLimits,
}

/// What is left to do.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Unfinished {
    /// So many of those that are idle longest are to be closed, for that cause.
    oldest: Option<(u32, CloseCause)>,
    /// From that destination on.
    sweep: Option<(Sweep, DestinationId)>,
    /// Who waits has to be told that the pool is closed, from that ticket on.
    waits_from: Option<Ticket>,
    /// Who dials has to look up, from that dial on.
    dials_from: Option<(DestinationId, Ticket)>,
}

impl Unfinished {
    pub(super) fn closing_oldest(count: u32, cause: CloseCause) -> Self {
        Self {
            oldest: Some((count, cause)),
            ..Self::default()
        }
    }

    pub(super) fn closing_evicted() -> Self {
        Self {
            sweep: Some((Sweep::Evicted, 0)),
            ..Self::default()
        }
    }

    pub(in crate::pool::state) fn closing_above_limits() -> Self {
        Self {
            sweep: Some((Sweep::AboveLimits, 0)),
            ..Self::default()
        }
    }

    /// And who waits or dials ends.
    pub(super) fn ending_waits_and_dials(self) -> Self {
        Self {
            waits_from: Some(Ticket::FIRST),
            dials_from: Some((DestinationId::MIN, Ticket::FIRST)),
            ..self
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.oldest.is_none()
            && self.sweep.is_none()
            && self.waits_from.is_none()
            && self.dials_from.is_none()
    }
}

impl<C: Held> State<C> {
    /// Does as much of it as one transition may.
    pub(crate) fn go_on(
        &mut self,
        unfinished: &mut Unfinished,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        self.reject_waiters(&mut unfinished.waits_from, effects);
        self.wake_dials(&mut unfinished.dials_from, effects);
        self.close_oldest(&mut unfinished.oldest, effects);
        self.sweep(&mut unfinished.sweep, effects);
        self.serve(now, effects);
    }

    /// Everybody who waits is told that the pool is closed.
    fn reject_waiters(&mut self, left: &mut Option<Ticket>, effects: &mut Effects<C>) {
        while let (Some(from), false) = (*left, effects.are_many()) {
            let next = self.next_waiter(from);
            *left = next.map(|(ticket, _)| ticket.next());
            if let Some((ticket, id)) = next {
                self.answer(ticket, Take::Refused(Refusal::PoolClosed), effects);
                self.forget_if_empty(id);
            }
        }
    }

    /// Everybody who dials has to look up.
    fn wake_dials(&mut self, left: &mut Option<(DestinationId, Ticket)>, effects: &mut Effects<C>) {
        while let (Some(from), false) = (*left, effects.are_many()) {
            let next = self.flights.next(from);
            *left = next.as_ref().map(|&((id, ticket), _)| (id, ticket.next()));
            effects.wakes.extend(next.map(|(_, waker)| waker));
        }
    }

    fn close_oldest(&mut self, left: &mut Option<(u32, CloseCause)>, effects: &mut Effects<C>) {
        while let (Some((count, cause)), false) = (*left, effects.are_many()) {
            let oldest = self.idle.oldest().filter(|_| count > 0);
            *left = oldest.map(|_| (count - 1, cause));
            if let Some((node, id, _)) = oldest {
                self.close_idle_node(node, id, cause, effects);
            }
        }
    }

    fn sweep(&mut self, left: &mut Option<(Sweep, DestinationId)>, effects: &mut Effects<C>) {
        while let (Some((sweep, id)), false) = (*left, effects.are_many()) {
            // The last destination that is forgotten takes the whole array with it.
            if (id as usize) < self.entries.len() {
                self.sweep_destination(sweep, id, effects);
                let is_done = !effects.are_many();
                *left = Some((sweep, id + DestinationId::from(is_done)));
            } else if matches!(sweep, Sweep::Evicted) || self.close_idle_above_limits(effects) {
                *left = None;
            }
        }
    }

    fn sweep_destination(&mut self, sweep: Sweep, id: DestinationId, effects: &mut Effects<C>) {
        match sweep {
            Sweep::Evicted => self.close_evicted_of(id, effects),
            Sweep::AboveLimits => {
                self.close_used_up_of(id, effects);
                self.close_idle_above_own_limits(id, effects);
                self.forget_if_empty(id);
            }
        }
    }
}
