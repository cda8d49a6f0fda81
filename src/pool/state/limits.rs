//! The limits: what keeps a connection from existing, a dial from beginning, an idle one from being
//! kept, and what is closed to make room.
#![forbid(unsafe_code)]

use super::answer::{Effects, LimitReached, Refusal, Reuse};
use super::closing::unfinished::Unfinished;
use super::counters::CloseCause;
use super::held::Held;
use super::untold::UntoldCounts;
use super::{DestinationId, DestinationState, State};
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::options::{Keeping, Limits};

/// A limit that keeps a dial from beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Obstacle {
    pub(super) limit: &'static str,
    pub(super) max: u32,
    /// It limits the whole pool, not one destination.
    pub(super) is_of_the_pool: bool,
    /// Only the dials in flight to the same destination.
    pub(super) is_turn: bool,
    /// What is in the way is about to be free (`untold`).
    pub(super) is_untold: bool,
}

impl Obstacle {
    pub(super) fn max_conns(max: u32) -> Self {
        Self {
            limit: "max_conns",
            max,
            is_of_the_pool: true,
            is_turn: false,
            is_untold: false,
        }
    }
}

impl<C: Held> State<C> {
    /// A dial of the borrower that asks could begin, and nothing would have to be closed for it.
    pub(super) fn find_room(&mut self, destination: &Destination) -> bool {
        let own = self.index.find(destination);
        // The slot of an unfit connection is the borrower's own, though the closing is not told
        // yet.
        let is_for_taker = std::mem::replace(&mut self.is_for_taker, true);
        let slots = self.conns() + self.untold.held_slots(true);
        let has_room = self.limits.max_conns.is_none_or(|max| slots < max)
            && self.find_obstacle(own, Reuse::Allowed).is_none();
        self.is_for_taker = is_for_taker;
        has_room
    }

    /// What keeps a dial from beginning now, if anything does.
    pub(super) fn find_obstacle(
        &mut self,
        own: Option<DestinationId>,
        reuse: Reuse,
    ) -> Option<Obstacle> {
        self.find_limit(own, reuse).or_else(|| {
            let max = self.limits.max_dials_per_address?;
            (self.known(own)?.turns() >= max).then_some(Obstacle {
                limit: "max_dials_per_address",
                max,
                is_of_the_pool: false,
                is_turn: true,
                is_untold: false,
            })
        })
    }

    /// What keeps one more connection from existing.
    pub(super) fn find_limit(
        &mut self,
        own: Option<DestinationId>,
        reuse: Reuse,
    ) -> Option<Obstacle> {
        // The slots that a taker has freed itself are free for it, or go to a waiter before it.
        let kept =
            |untold: &UntoldCounts| untold.held_slots(self.is_for_taker) - untold.held_slots(true);
        if let (Some(max), Some(entry)) = (self.limits.max_conns_per_address, self.known(own)) {
            let in_the_way = entry.in_the_way_of(reuse);
            if in_the_way + entry.untold.held_slots(self.is_for_taker) >= max {
                return Some(Obstacle {
                    limit: "max_conns_per_address",
                    max,
                    is_of_the_pool: false,
                    is_turn: false,
                    is_untold: in_the_way + kept(&entry.untold) < max + entry.untold.returning,
                });
            }
        }
        let max = self.limits.max_conns?;
        let conns = self.conns();
        if conns + self.untold.held_slots(self.is_for_taker) < max {
            return None;
        }
        let is_untold = conns + kept(&self.untold) < max + self.untold.returning;
        // Nothing is evicted for what is about to be free.
        (conns < max || self.oldest_to_evict(own, reuse).is_none()).then(|| Obstacle {
            is_untold,
            ..Obstacle::max_conns(max)
        })
    }

    /// The longest idle connection that may be closed for a dial: of another destination, or of its
    /// own too if its own are of no use to the caller.
    fn oldest_to_evict(
        &mut self,
        own: Option<DestinationId>,
        reuse: Reuse,
    ) -> Option<(u32, DestinationId)> {
        let except = own.filter(|_| reuse != Reuse::Never);
        self.revoke_oldest_idle(except)
    }

    /// Where there is no obstacle: closes what must go, so that one more connection is within the
    /// limits.
    pub(super) fn make_room(
        &mut self,
        own: Option<DestinationId>,
        reuse: Reuse,
        effects: &mut Effects<C>,
    ) {
        if let (Some(max), Some(id)) = (self.limits.max_conns_per_address, own) {
            // The destination is forgotten with its last connection.
            while self.known(own).is_some_and(|entry| entry.conns() >= max) {
                match self.longest_idle_of(id) {
                    Some(node) => self.close_idle_node(node, id, CloseCause::Evicted, effects),
                    None => return,
                }
            }
        }
        while self.limits.max_conns.is_some_and(|max| self.conns() >= max) {
            match self.oldest_to_evict(own, reuse) {
                Some((node, id)) => self.close_idle_node(node, id, CloseCause::Evicted, effects),
                None => return,
            }
        }
    }

    /// What was closed for a waiter has not been told: its slot must not be used yet.
    pub(super) fn must_wait_until_told(&self, own: DestinationId) -> bool {
        let is_held = |max: Option<u32>, slots| max.is_some_and(|max| slots >= max);
        let own = self.known(Some(own)).map_or(0, |entry| {
            entry.conns() + entry.untold.held_slots(self.is_for_taker)
        });
        self.is_observed
            && (is_held(
                self.limits.max_conns,
                self.conns() + self.untold.held_slots(self.is_for_taker),
            ) || is_held(self.limits.max_conns_per_address, own))
    }

    fn longest_idle_of(&self, id: DestinationId) -> Option<u32> {
        let entry = self.known(Some(id))?;
        self.idle.oldest_on(&entry.shelf)
    }

    /// What a refused caller is told: the exact numbers of the pool, or of the caller's destination
    /// if the limit is one of those per address.
    ///
    /// Only the caller's destination is looked at for connections that the fast path has lent.
    /// `find_obstacle` has found that nothing idle could be evicted, and has revoked what it found
    /// out of the other destinations. So each of those is paid for once, and a refusal costs the
    /// same however many are idle elsewhere.
    pub(super) fn numbers(
        &mut self,
        obstacle: Option<Obstacle>,
        own: Option<DestinationId>,
    ) -> LimitReached {
        if let Some(own) = own {
            self.revoke_out_of(own);
        }
        let limit = obstacle.map(|one| (one.limit, one.max));
        if obstacle.is_some_and(|one| one.is_of_the_pool) {
            return LimitReached {
                limit,
                idle: self.idle.len(),
                borrowed: self.borrowed + self.untold.held_slots(true),
                dialing: self.dialing,
                waiting: self.queue.waiting(),
            };
        }
        let entry = self.known(own);
        let of = |count: fn(&DestinationState) -> u32| entry.map_or(0, count);
        LimitReached {
            limit,
            idle: of(|entry| entry.shelf.len()),
            borrowed: of(|entry| entry.borrowed + entry.untold.held_slots(true)),
            dialing: of(|entry| entry.dialing),
            waiting: of(|entry| entry.queue.waiting()),
        }
    }

    pub(super) fn no_idle_room(&mut self, id: DestinationId) -> Option<Refusal> {
        let max = self.limits.max_idle_per_address;
        if self.entry(id).shelf.len() >= max {
            self.revoke_out_of(id);
        }
        let entry = self.entry(id);
        if entry.shelf.len() + entry.untold.arriving >= max {
            return Some(Refusal::IdleFull {
                limit: "max_idle_per_address",
                max,
            });
        }
        let max = self.limits.max_idle?;
        if self.idle.len() >= max {
            self.revoke_out_until(|state| state.idle.len() < max);
        }
        (self.idle.len() + self.untold.arriving >= max).then_some(Refusal::IdleFull {
            limit: "max_idle",
            max,
        })
    }

    /// Applies new limits, and how long connections are kept, at once and as a whole. What is idle
    /// above a lowered limit is closed, longest idle first, and so is what is idle and has been
    /// borrowed as often as a lowered max_uses allows. What is borrowed above a limit is closed as
    /// it comes back ([`Self::is_above_a_limit`]). Waiters that a raised limit lets in are served
    /// in order. Lifetimes already drawn stay, and so does the order of reuse.
    ///
    /// Everything is revoked: the fast path must not go on under the old idle timeout or without
    /// counting uses, and what it has lent is borrowed, not idle.
    pub(crate) fn set_limits(
        &mut self,
        limits: Limits,
        keeping: Keeping,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Unfinished {
        self.revoke_all();
        self.limits = limits;
        self.keeping = Keeping {
            reuse_order: self.keeping.reuse_order,
            ..keeping
        };
        for id in 0..self.entries.len() {
            self.refresh(id as DestinationId);
        }
        let mut unfinished = Unfinished::closing_above_limits();
        self.go_on(&mut unfinished, now, effects);
        self.want_what_is_in_use(now);
        // The idle timeout may be shorter than the one that the engine sleeps by.
        self.idle_deadline = now;
        unfinished
    }

    pub(super) fn close_idle_above_own_limits(
        &mut self,
        id: DestinationId,
        effects: &mut Effects<C>,
    ) {
        let max_idle = self.limits.max_idle_per_address;
        let max_conns = self.limits.max_conns_per_address.unwrap_or(u32::MAX);
        let is_above =
            |entry: &DestinationState| entry.shelf.len() > max_idle || entry.conns() > max_conns;
        while self.known(Some(id)).is_some_and(is_above) && !effects.are_many() {
            match self.longest_idle_of(id) {
                Some(node) => self.close_idle_node(node, id, CloseCause::Evicted, effects),
                None => return,
            }
        }
    }

    /// False: there are too many effects to close all.
    pub(super) fn close_idle_above_limits(&mut self, effects: &mut Effects<C>) -> bool {
        let max_idle = self.limits.max_idle.unwrap_or(u32::MAX);
        let max_conns = self.limits.max_conns.unwrap_or(u32::MAX);
        while self.idle.len() > max_idle || self.conns() > max_conns {
            match self.idle.oldest() {
                Some(_) if effects.are_many() => return false,
                Some((node, id, _)) => {
                    self.close_idle_node(node, id, CloseCause::Evicted, effects);
                }
                None => break,
            }
        }
        true
    }

    /// Without one more connection the limits are reached: they were lowered while it was borrowed.
    pub(super) fn is_above_a_limit(&self, id: DestinationId) -> bool {
        let is_reached = |max: Option<u32>, conns| max.is_some_and(|max| conns >= max);
        let own = self.known(Some(id)).map_or(0, DestinationState::conns);
        is_reached(self.limits.max_conns, self.conns())
            || is_reached(self.limits.max_conns_per_address, own)
    }

    /// max_waiters, if as many wait.
    pub(super) fn max_waiters(&self) -> Option<u32> {
        let limited = self.queue.limited;
        self.limits.max_waiters.filter(|&max| limited >= max)
    }
}
