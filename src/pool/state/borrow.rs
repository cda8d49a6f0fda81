//! Taking: an idle connection, or the right to dial; and what becomes of a dial.
#![forbid(unsafe_code)]

use super::answer::{Blocked, DialRight, Effects, Fate, Refusal, Request, Reuse, Take, Ticket};
use super::counters::CloseCause;
use super::idle_list::Held;
use super::{DestinationId, Entry, State};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::error::Error;

/// A limit that keeps a dial from beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Obstacle {
    pub(super) limit: &'static str,
    pub(super) max: u32,
    /// Only the dials in flight to the same destination.
    pub(super) is_turn: bool,
}

impl<C: Held> State<C> {
    /// Why an idle connection may not be handed out any more.
    pub(super) fn expired(&self, conn: &C, idle_since: Time, now: Time) -> Option<CloseCause> {
        if conn.retire_at() <= now {
            return Some(CloseCause::Lifetime);
        }
        let timeout = self.keeping.idle_timeout?;
        (idle_since.after(timeout) <= now).then_some(CloseCause::IdleTimeout)
    }

    /// Takes the next idle connection of a destination that pleases `choose`; it counts as borrowed.
    pub(crate) fn take_idle(
        &mut self,
        destination: &Destination,
        choose: impl Fn(&C) -> bool,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<C> {
        let id = self.index.find(destination)?;
        let found = loop {
            let order = self.keeping.reuse_order;
            let Self {
                entries, shelves, ..
            } = self;
            let entry = entries[id as usize].as_ref()?;
            let Some(node) = shelves.find(&entry.shelf, order, &choose) else {
                break None;
            };
            // It may have been lent and brought back since `find` looked.
            if !self.hold(node, id) || !self.shelves.held(node).is_some_and(&choose) {
                continue;
            }
            let Some((conn, idle_since)) = self.remove(node, id) else {
                continue;
            };
            match self.expired(&conn, idle_since, now) {
                Some(cause) => self.close(conn, cause, effects),
                None => break Some(conn),
            }
        };
        match found {
            Some(_) => self.begin_borrow(id),
            None => self.settle(id, now, effects),
        }
        found
    }

    /// The one way to borrow. A caller that has to wait gets its answer from `collect`; `waker` wakes it.
    pub(crate) fn take(
        &mut self,
        request: Request<'_>,
        now: Time,
        waker: impl FnOnce() -> C::Waker,
        effects: &mut Effects<C>,
    ) -> (Ticket, Take<C>) {
        let ticket = self.line.draw();
        let taken = self.take_as(ticket, request, now, waker, effects);
        (ticket, taken)
    }

    /// The same for one who was handed an unfit connection: it is closed, and its place in the order stays.
    pub(crate) fn take_another(
        &mut self,
        ticket: Ticket,
        unfit: (C, CloseCause),
        request: Request<'_>,
        now: Time,
        waker: impl FnOnce() -> C::Waker,
        effects: &mut Effects<C>,
    ) -> Take<C> {
        let (conn, cause) = unfit;
        let id = conn.destination_id();
        self.end_borrow(id);
        self.close(conn, cause, effects);
        let taken = self.take_as(ticket, request, now, waker, effects);
        self.settle(id, now, effects);
        taken
    }

    fn take_as(
        &mut self,
        ticket: Ticket,
        request: Request<'_>,
        now: Time,
        waker: impl FnOnce() -> C::Waker,
        effects: &mut Effects<C>,
    ) -> Take<C> {
        if self.is_closed {
            return Take::Refused(Refusal::PoolClosed);
        }
        let Request {
            destination, reuse, ..
        } = request;
        let own = self.index.find(destination);
        if let (Reuse::Never, Some(_), Some(own)) = (reuse, self.limits.max_conns_per_address, own)
        {
            // Its limit goes by how many are borrowed.
            self.hold_all_of(own);
        }
        let rather_dials = request.distrusts_idle
            && reuse == Reuse::Allowed
            && self.failures.check(destination, now).is_ok()
            && self.has_room(destination);
        if reuse != Reuse::Never && !rather_dials {
            if let Some(conn) = self.take_idle(destination, |_| true, now, effects) {
                return Take::Reuse(conn);
            }
            if reuse == Reuse::Only {
                return Take::Refused(Refusal::NothingIdle);
            }
        }
        if let Err(refusal) = self.failures.check(destination, now) {
            return Take::Refused(refusal);
        }
        if self.line.waiting() == 0 {
            let own = self.index.find(destination);
            match self.obstacle(own, reuse) {
                None => {
                    self.make_room(own, reuse, effects);
                    let id = self.find_or_add(destination);
                    return Take::Dial(
                        self.begin_dial(id, ticket),
                        self.entry(id).destination.clone(),
                    );
                }
                Some(obstacle) if !obstacle.is_turn && !request.may_wait => {
                    return Take::Refused(Refusal::Exhausted(self.numbers(Some(obstacle))));
                }
                Some(_) => {}
            }
        }
        self.stand_in_line(ticket, request, now, waker, effects)
    }

    /// A dial could begin, and nothing would have to be closed for it.
    fn has_room(&mut self, destination: &Destination) -> bool {
        let own = self.index.find(destination);
        self.limits.max_conns.is_none_or(|max| self.conns() < max)
            && self.obstacle(own, Reuse::Allowed).is_none()
    }

    /// The right to dial one that is to be idle, if nothing has to go for it. `None`: enough are idle.
    pub(crate) fn take_to_keep(
        &mut self,
        destination: &Arc<Destination>,
        wanted: u32,
        now: Time,
    ) -> Result<Option<(DialRight, Arc<Destination>)>, Refusal> {
        if self.is_closed {
            return Err(Refusal::PoolClosed);
        }
        let own = self.index.find(destination);
        if let Some(id) = own {
            self.call_in(id);
        }
        if self.known(own).map_or(0, |entry| entry.shelf.len()) >= wanted {
            return Ok(None);
        }
        self.failures.check(destination, now)?;
        let is_full = self.limits.max_conns.filter(|&max| self.conns() >= max);
        if let Some(max) = is_full {
            let obstacle = Obstacle {
                limit: "max_conns",
                max,
                is_turn: false,
            };
            return Err(Refusal::Exhausted(self.numbers(Some(obstacle))));
        }
        if let Some(obstacle) = self.obstacle(own, Reuse::Allowed) {
            return Err(Refusal::Exhausted(self.numbers(Some(obstacle))));
        }
        let id = self.find_or_add(destination);
        if let Some(refusal) = self.no_idle_room(id) {
            self.forget_if_empty(id);
            return Err(refusal);
        }
        let destination = self.entry(id).destination.clone();
        let ticket = self.line.draw();
        Ok(Some((self.begin_dial(id, ticket), destination)))
    }

    fn stand_in_line(
        &mut self,
        ticket: Ticket,
        request: Request<'_>,
        now: Time,
        waker: impl FnOnce() -> C::Waker,
        effects: &mut Effects<C>,
    ) -> Take<C> {
        let id = self.find_or_add(request.destination);
        self.queue(ticket, id, request.reuse, waker());
        self.serve(now, effects);
        if let Some(answer) = self.collect(ticket) {
            return answer;
        }
        let obstacle = self.obstacle(Some(id), request.reuse);
        if obstacle.is_some_and(|obstacle| !obstacle.is_turn) {
            let too_many = self.max_waiters().filter(|_| !request.has_waited);
            if !request.may_wait || too_many.is_some() {
                self.leave(ticket, now, effects);
                let numbers = self.numbers(obstacle);
                return Take::Refused(match too_many.filter(|_| request.may_wait) {
                    Some(max) => Refusal::TooManyWait(numbers, max),
                    None => Refusal::Exhausted(numbers),
                });
            }
            self.count_as_limited(ticket);
        }
        self.counters.waits += 1;
        Take::Wait
    }

    /// What keeps a dial from beginning now, if anything does.
    pub(super) fn obstacle(
        &mut self,
        own: Option<DestinationId>,
        reuse: Reuse,
    ) -> Option<Obstacle> {
        self.limit(own, reuse).or_else(|| {
            let max = self.limits.max_dials_per_address?;
            (self.known(own)?.dialing >= max).then_some(Obstacle {
                limit: "max_dials_per_address",
                max,
                is_turn: true,
            })
        })
    }

    /// What keeps one more connection from existing.
    pub(super) fn limit(&mut self, own: Option<DestinationId>, reuse: Reuse) -> Option<Obstacle> {
        let limit = |limit, max| Obstacle {
            limit,
            max,
            is_turn: false,
        };
        if let (Some(max), Some(entry)) = (self.limits.max_conns_per_address, self.known(own)) {
            if entry.in_the_way_of(reuse) >= max {
                return Some(limit("max_conns_per_address", max));
            }
        }
        let max = self.limits.max_conns?;
        (self.conns() >= max && self.oldest_to_evict(own, reuse).is_none())
            .then(|| limit("max_conns", max))
    }

    pub(super) fn known(&self, id: Option<DestinationId>) -> Option<&Entry> {
        self.entries.get(id? as usize)?.as_ref()
    }

    /// The longest idle connection that may be closed for a dial: of another destination, or of its own too if its own are
    /// of no use to the caller.
    fn oldest_to_evict(
        &mut self,
        own: Option<DestinationId>,
        reuse: Reuse,
    ) -> Option<(u32, DestinationId)> {
        let except = own.filter(|_| reuse != Reuse::Never);
        self.oldest_idle(except)
    }

    /// Where there is no obstacle: closes what must go, so that one more connection is within the limits.
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

    fn longest_idle_of(&self, id: DestinationId) -> Option<u32> {
        let entry = self.known(Some(id))?;
        self.shelves.oldest_on(&entry.shelf)
    }

    /// The pool as a refused caller is told it: exact, so that nobody reads of idle ones that are somebody's.
    pub(super) fn numbers(&mut self, obstacle: Option<Obstacle>) -> Blocked {
        let out = self.look_for_out();
        Blocked {
            limit: obstacle.map(|one| (one.limit, one.max)),
            idle: self.shelves.len() - out,
            borrowed: self.borrowed + out,
            dialing: self.dialing,
            waiting: self.line.waiting(),
        }
    }

    pub(super) fn begin_dial(&mut self, id: DestinationId, ticket: Ticket) -> DialRight {
        let entry = self.entry(id);
        entry.dialing += 1;
        let destination = entry.destination.clone();
        self.dialing += 1;
        self.refresh(id);
        DialRight {
            destination: id,
            ticket,
            is_probe: self.failures.begin_probe(&destination, ticket),
        }
    }

    /// Returns what the dial was answered with and nobody fetched: to be passed on.
    fn end_dial(&mut self, right: DialRight) -> Option<C> {
        self.dialing -= 1;
        self.entry(right.destination).dialing -= 1;
        self.flights.end(right)
    }

    /// The last step of a transition that took a connection out of somebody's hands, or none.
    pub(super) fn pass_on(
        &mut self,
        conn: Option<C>,
        id: DestinationId,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        match conn {
            None => self.settle(id, now, effects),
            Some(conn) => {
                self.settle_in(id, conn, Fate::Keep, now, effects);
            }
        }
    }

    /// A right to dial that nobody used.
    pub(crate) fn give_up(&mut self, right: DialRight, now: Time, effects: &mut Effects<C>) {
        let unfetched = self.end_dial(right);
        if right.is_probe {
            let destination = self.entry(right.destination).destination.clone();
            self.failures.probe_ended(&destination, right.ticket);
        }
        self.pass_on(unfetched, right.destination, now, effects);
    }

    /// A dial succeeded: its connection is borrowed now, unless the pool was closed meanwhile (`Err`: it counts no
    /// more, and is to be closed by the caller).
    pub(crate) fn dialed(
        &mut self,
        right: DialRight,
        conn: &C,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<(), Refusal> {
        if self.is_closed {
            self.dial_failed(right, None, now, effects);
            return Err(Refusal::PoolClosed);
        }
        self.counters.dials += 1;
        let unfetched = self.end_dial(right);
        self.begin_borrow(right.destination);
        let destination = self.entry(right.destination).destination.clone();
        self.failures.succeeded(&destination);
        self.note_success(right.destination);
        self.note_lifetime(conn);
        self.pass_on(unfetched, right.destination, now, effects);
        Ok(())
    }

    /// A dial failed, or was given up; with the error if the destination is to blame.
    pub(crate) fn dial_failed(
        &mut self,
        right: DialRight,
        blame: Option<&Error>,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        self.counters.dials += 1;
        self.counters.dial_failures += 1;
        if let Some(error) = blame {
            let destination = self.entry(right.destination).destination.clone();
            self.failures.failed(destination, right.ticket, error, now);
            let unfetched = self.end_dial(right);
            self.pass_on(unfetched, right.destination, now, effects);
        } else {
            self.give_up(right, now, effects);
        }
    }

    pub(super) fn note_lifetime(&mut self, conn: &C) {
        if conn.retire_at() != Time::NEVER {
            self.retiring.insert((conn.retire_at(), conn.id()));
        }
    }

    /// A reused connection reached its borrower.
    pub(crate) fn reused(&mut self) {
        self.counters.reuses += 1;
    }

    /// One that was borrowed without the state, and is called in by this very transition, turned out to be unfit. One that somebody has
    /// counted meanwhile stays counted: what was told once does not become less.
    pub(crate) fn was_not_reused(&mut self) {
        self.counters.reuses -= 1;
    }

    /// So many have been borrowed for too long.
    pub(crate) fn leaked(&mut self, connections: u64) {
        self.counters.leaks += connections;
    }

    pub(super) fn begin_borrow(&mut self, id: DestinationId) {
        self.borrowed += 1;
        self.entry(id).borrowed += 1;
    }

    pub(super) fn end_borrow(&mut self, id: DestinationId) {
        self.borrowed -= 1;
        self.entry(id).borrowed -= 1;
    }

    /// A borrowed connection turned out to be unfit before its borrower saw it.
    pub(crate) fn reject(
        &mut self,
        id: DestinationId,
        conn: C,
        cause: CloseCause,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        self.end_borrow(id);
        self.close(conn, cause, effects);
        self.settle(id, now, effects);
    }
}
