//! Taking: an idle connection, or the right to dial; and what becomes of a dial.
#![forbid(unsafe_code)]

use super::answer::{DialRight, Effects, Refusal, Request, Reuse, Take, Ticket};
use super::counters::CloseCause;
use super::held::Held;
use super::limits::Obstacle;
use super::{DestinationId, DestinationState, State};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;

/// Why no connection is dialed to be idle.
pub(super) enum NotForIdle {
    AtLimit(Obstacle, Option<DestinationId>),
    Refused(Refusal),
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

    /// Takes the next idle connection of a destination that pleases `choose`; it counts as
    /// borrowed.
    pub(crate) fn take_idle(
        &mut self,
        destination: &Destination,
        choose: impl Fn(&C) -> bool,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<C> {
        if self.is_closed {
            return None;
        }
        let id = self.index.find(destination)?;
        let found = self.take_unexpired(id, choose, now, effects);
        if found.is_none() {
            self.settle(id, now, effects);
        }
        found
    }

    /// As `take_idle`, but what it has closed serves nobody yet. Passes by what new limits have
    /// left no uses: whoever set them closes that (`unfinished`).
    fn take_unexpired(
        &mut self,
        id: DestinationId,
        choose: impl Fn(&C) -> bool,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<C> {
        let pleases = |state: &Self, conn: &C| choose(conn) && !state.is_at_last_use(conn);
        loop {
            let order = self.keeping.reuse_order;
            let entry = self.entries[id as usize].as_ref()?;
            let node = self
                .idle
                .find(&entry.shelf, order, |conn| pleases(self, conn))?;
            // It may have been lent and brought back since `find` looked.
            let is_revoked = self.revoke(node, id);
            let held = self.idle.held(node);
            if !is_revoked || !held.is_some_and(|conn| pleases(self, conn)) {
                continue;
            }
            let Some((conn, idle_since)) = self.remove(node, id) else {
                continue;
            };
            match self.expired(&conn, idle_since, now) {
                Some(cause) => self.close_conn(conn, cause, effects),
                None => {
                    self.begin_borrow(id);
                    return Some(conn);
                }
            }
        }
    }

    /// The one way to borrow. A caller that has to wait gets its answer from `collect`; `waker`
    /// wakes it.
    pub(crate) fn take(
        &mut self,
        request: Request<'_>,
        now: Time,
        waker: impl FnOnce() -> C::Waker,
        effects: &mut Effects<C>,
    ) -> (Ticket, Take<C>) {
        let ticket = self.queue.draw();
        self.begin_take(ticket);
        let taken = self.take_as(ticket, request, now, waker, effects);
        self.end_take(&taken, effects);
        if !matches!(taken, Take::Reuse(_)) {
            if let Some(own) = self.index.find(request.destination) {
                self.settle(own, now, effects);
            }
        }
        (ticket, taken)
    }

    /// Takes again after an unfit connection: that one is closed, and the borrower's place in the
    /// order stays.
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
        self.begin_take(ticket);
        self.end_borrow(id);
        self.close_conn(conn, cause, effects);
        let taken = self.take_as(ticket, request, now, waker, effects);
        self.end_take(&taken, effects);
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
            self.revoke_all_of(own);
        }
        let rather_dials = request.distrusts_idle
            && reuse == Reuse::Allowed
            && self.failures.check(destination, now).is_ok()
            && self.find_room(destination);
        if reuse != Reuse::Never && !rather_dials {
            let idle = own.and_then(|own| self.take_unexpired(own, |_| true, now, effects));
            if let Some(conn) = idle {
                return Take::Reuse(conn);
            }
            if reuse == Reuse::Only {
                return Take::Refused(Refusal::NothingIdle);
            }
        }
        if let Err(refusal) = self.failures.check(destination, now) {
            return Take::Refused(refusal);
        }
        if self.queue.waiting() == 0 {
            let own = self.index.find(destination);
            match self.find_obstacle(own, reuse) {
                None => {
                    self.make_room(own, reuse, effects);
                    let id = self.find_or_add(destination);
                    return Take::Dial(
                        self.begin_dial(id, ticket),
                        self.entry(id).destination.clone(),
                    );
                }
                Some(obstacle) if !obstacle.is_turn && !obstacle.is_untold && !request.may_wait => {
                    return Take::Refused(Refusal::Exhausted(self.numbers(Some(obstacle), own)));
                }
                Some(_) => {}
            }
        }
        self.enqueue_or_refuse(ticket, request, now, waker, effects)
    }

    /// The right to dial one that is to be idle, if nothing has to go for it. `None`: enough are
    /// idle.
    pub(crate) fn take_for_idle(
        &mut self,
        destination: &Arc<Destination>,
        wanted: u32,
        now: Time,
    ) -> Result<Option<(DialRight, Arc<Destination>)>, Refusal> {
        self.try_for_idle(destination, wanted, now)
            .map_err(|why| match why {
                NotForIdle::Refused(refusal) => refusal,
                NotForIdle::AtLimit(obstacle, own) => {
                    // Nothing was evicted for it, so nothing was looked at: a caller that is told
                    // numbers pays for the walk.
                    self.revoke_all_out();
                    Refusal::Exhausted(self.numbers(Some(obstacle), own))
                }
            })
    }

    /// As `take_for_idle`, for a caller that needs no numbers. It looks at one destination only.
    pub(super) fn try_for_idle(
        &mut self,
        destination: &Arc<Destination>,
        wanted: u32,
        now: Time,
    ) -> Result<Option<(DialRight, Arc<Destination>)>, NotForIdle> {
        if self.is_closed {
            return Err(NotForIdle::Refused(Refusal::PoolClosed));
        }
        let own = self.index.find(destination);
        if let Some(id) = own {
            self.revoke_out_of(id);
        }
        let idle = |entry: &DestinationState| entry.shelf.len() + entry.checking;
        if self.known(own).map_or(0, idle) >= wanted {
            return Ok(None);
        }
        self.failures
            .check(destination, now)
            .map_err(NotForIdle::Refused)?;
        let slots = self.conns() + self.untold.slots;
        let is_full = self.limits.max_conns.filter(|&max| slots >= max);
        let obstacle = match is_full {
            Some(max) => Some(Obstacle::max_conns(max)),
            None => self.find_obstacle(own, Reuse::Allowed),
        };
        if let Some(obstacle) = obstacle {
            return Err(NotForIdle::AtLimit(obstacle, own));
        }
        let id = self.find_or_add(destination);
        if let Some(refusal) = self.no_idle_room(id) {
            self.forget_if_empty(id);
            return Err(NotForIdle::Refused(refusal));
        }
        let destination = self.entry(id).destination.clone();
        let ticket = self.queue.draw();
        Ok(Some((self.begin_dial(id, ticket), destination)))
    }

    fn enqueue_or_refuse(
        &mut self,
        ticket: Ticket,
        request: Request<'_>,
        now: Time,
        waker: impl FnOnce() -> C::Waker,
        effects: &mut Effects<C>,
    ) -> Take<C> {
        let id = self.find_or_add(request.destination);
        self.enqueue(ticket, id, request.reuse, waker());
        // As many as there are, so that a caller that does not wait is served if it can be.
        while self.serve_next(now, effects) {}
        if let Some(answer) = self.collect(ticket) {
            return answer;
        }
        self.is_for_taker = true;
        let mut obstacle = self.find_obstacle(Some(id), request.reuse);
        if obstacle.is_none() {
            // An older waiter gets the slot that this one has freed.
            self.is_for_taker = false;
            obstacle = self.find_obstacle(Some(id), request.reuse);
        }
        if let Some(obstacle) = obstacle.filter(|obstacle| !obstacle.is_turn) {
            let too_many = self.max_waiters().filter(|_| !request.has_waited);
            let may_wait = request.may_wait || obstacle.is_untold;
            if !may_wait || too_many.is_some() {
                self.cancel_wait(ticket, now, effects);
                let numbers = self.numbers(Some(obstacle), Some(id));
                return Take::Refused(match too_many.filter(|_| may_wait) {
                    Some(max) => Refusal::TooManyWait(numbers, max),
                    None => Refusal::Exhausted(numbers),
                });
            }
            self.count_as_limited(ticket);
        }
        self.counters.waits += 1;
        Take::Wait
    }

    pub(super) fn known(&self, id: Option<DestinationId>) -> Option<&DestinationState> {
        self.entries.get(id? as usize)?.as_ref()
    }

    pub(super) fn schedule_retirement(&mut self, conn: &C) {
        if conn.retire_at() != Time::NEVER {
            self.retiring.insert((conn.retire_at(), conn.id()));
        }
    }

    /// A reused connection reached its borrower.
    pub(crate) fn count_reuse(&mut self) {
        self.counters.reuses += 1;
    }

    /// One that was borrowed without the state, and is called in by this very transition, turned
    /// out to be unfit. One that somebody has counted meanwhile stays counted: what was told once
    /// does not become less.
    pub(crate) fn uncount_reuse(&mut self) {
        self.counters.reuses -= 1;
    }

    /// So many have been borrowed for too long.
    pub(crate) fn count_leaks(&mut self, connections: u64) {
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
        self.close_conn(conn, cause, effects);
        self.settle(id, now, effects);
    }
}
