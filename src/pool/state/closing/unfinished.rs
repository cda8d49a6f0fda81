//! What one transition began and has left to the next: it has as many effects as fit
//! (`answer::Effects`).
#![forbid(unsafe_code)]

use crate::pool::state::answer::{Effects, Refusal, Take, Ticket};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::{DestinationId, State};
use crate::values::clock::Time;

/// What is left to do.
#[derive(Debug, Default)]
pub(in crate::pool::state) struct Unfinished {
    /// So many of those that are idle longest are to be closed.
    oldest: u32,
    cause: Option<CloseCause>,
    /// Idle ones of destinations that were evicted.
    has_evicted: bool,
    /// Idle ones above limits that were lowered.
    has_too_many: bool,
    /// Who waits has to be told that the pool is closed, from that ticket on.
    waits_from: Option<Ticket>,
    /// Who dials has to look up, from that dial on.
    dials_from: Option<(DestinationId, Ticket)>,
}

impl Unfinished {
    pub(in crate::pool::state) fn close_oldest(&mut self, count: u32, cause: CloseCause) {
        self.oldest = count;
        self.cause = Some(cause);
    }

    pub(in crate::pool::state) fn close_evicted(&mut self) {
        self.has_evicted = true;
    }

    pub(in crate::pool::state) fn close_too_many(&mut self) {
        self.has_too_many = true;
    }

    pub(in crate::pool::state) fn end_waits_and_dials(&mut self) {
        self.waits_from = Some(Ticket::FIRST);
        self.dials_from = Some((DestinationId::MIN, Ticket::FIRST));
    }

    fn is_nothing(&self) -> bool {
        self.oldest == 0
            && !self.has_evicted
            && !self.has_too_many
            && self.waits_from.is_none()
            && self.dials_from.is_none()
    }
}

impl<C: Held> State<C> {
    /// An earlier transition has left something to `go_on`.
    pub(crate) fn is_unfinished(&self) -> bool {
        !self.unfinished.is_nothing()
    }

    /// Does more of what earlier transitions have begun.
    pub(crate) fn go_on(&mut self, now: Time, effects: &mut Effects<C>) {
        self.reject_waiters(effects);
        self.wake_dials(effects);
        self.close_oldest(effects);
        if self.unfinished.has_evicted {
            self.unfinished.has_evicted = !self.each_destination(effects, Self::close_evicted_of);
        }
        if self.unfinished.has_too_many {
            let own = self.each_destination(effects, Self::close_idle_above_own_limits);
            self.unfinished.has_too_many = !(own && self.close_idle_above_limits(effects));
        }
        self.serve(now, effects);
    }

    /// Everybody who waits is told that the pool is closed.
    fn reject_waiters(&mut self, effects: &mut Effects<C>) {
        while let (Some(from), false) = (self.unfinished.waits_from, effects.are_many()) {
            let next = self.next_waiter(from);
            self.unfinished.waits_from = next.map(|(ticket, _)| ticket.next());
            if let Some((ticket, id)) = next {
                self.answer(ticket, Take::Refused(Refusal::PoolClosed), effects);
                self.forget_if_empty(id);
            }
        }
    }

    /// Everybody who dials has to look up.
    fn wake_dials(&mut self, effects: &mut Effects<C>) {
        while let (Some(from), false) = (self.unfinished.dials_from, effects.are_many()) {
            let next = self.flights.next(from);
            self.unfinished.dials_from =
                next.as_ref().map(|&((id, ticket), _)| (id, ticket.next()));
            effects.wakes.extend(next.map(|(_, waker)| waker));
        }
    }

    fn close_oldest(&mut self, effects: &mut Effects<C>) {
        while self.unfinished.oldest > 0 && !effects.are_many() {
            self.unfinished.oldest -= 1;
            match (self.idle.oldest(), self.unfinished.cause) {
                (Some((node, id, _)), Some(cause)) => {
                    self.close_idle_node(node, id, cause, effects);
                }
                _ => self.unfinished.oldest = 0,
            }
        }
    }

    /// False: there are too many effects to go through all.
    fn each_destination(
        &mut self,
        effects: &mut Effects<C>,
        close: impl Fn(&mut Self, DestinationId, &mut Effects<C>),
    ) -> bool {
        let mut id = 0;
        // The last one that is forgotten takes the whole array with it.
        while (id as usize) < self.entries.len() && !effects.are_many() {
            close(self, id, effects);
            id += 1;
        }
        !effects.are_many()
    }
}
