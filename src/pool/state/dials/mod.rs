//! Dials in flight, and the connections that answer them before they arrive (late binding).
//!
//! | a dial | is answered by | and then |
//! |---|---|---|
//! | whose caller waits | a connection that no waiter wants | its connect goes on alone |
//! | that is fresh, or in a callback | nothing | it ends with its own connect |
//! | without a caller | nothing | it ends with its own connect |
//!
//! The connection is one of the dial's own destination. "In a callback" is: in on_open, or in a
//! callback on its caller's thread.
#![forbid(unsafe_code)]

pub(super) mod failures;

use std::collections::BTreeMap;

use super::answer::{DialRight, Disposition, Effects, LateBinding, Refusal, Ticket, Untold};
use super::held::Held;
use super::{DestinationId, State};
use crate::values::clock::Time;
use crate::values::error::Error;

/// All dials of a pool that run, ordered by destination and then by ticket, oldest first.
#[derive(Debug)]
pub(super) struct DialsInFlight<C: Held>(BTreeMap<(DestinationId, Ticket), DialInFlight<C>>);

#[derive(Debug)]
struct DialInFlight<C: Held> {
    waker: C::Waker,
    takes_any: bool,
    answer: Option<C>,
}

impl<C: Held> DialsInFlight<C> {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&mut self, right: DialRight) -> Option<&mut DialInFlight<C>> {
        self.0.get_mut(&(right.destination, right.ticket))
    }

    /// Takes the dial off the list, with what it was answered and nobody fetched.
    pub(super) fn end(&mut self, right: DialRight) -> Option<C> {
        self.0.remove(&(right.destination, right.ticket))?.answer
    }

    /// The first dial from there on, and its caller.
    pub(super) fn next(
        &self,
        from: (DestinationId, Ticket),
    ) -> Option<((DestinationId, Ticket), C::Waker)> {
        let next = self.0.range(from..).next();
        next.map(|(&dial, flight)| (dial, flight.waker.clone()))
    }

    pub(super) fn oldest_who_takes_any(&self, id: DestinationId) -> Option<Ticket> {
        let of_destination = self.0.range((id, Ticket::FIRST)..=(id, Ticket::LAST));
        of_destination
            .filter(|(_, flight)| flight.takes_any && flight.answer.is_none())
            .map(|(&(_, ticket), _)| ticket)
            .next()
    }
}

impl<C: Held> State<C> {
    /// A dial begins to run; `waker` wakes its caller, who may be served at once. Refused if the
    /// pool was closed since the right was given.
    pub(crate) fn start_dial(
        &mut self,
        right: DialRight,
        takes: LateBinding,
        waker: C::Waker,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<Option<C>, Refusal> {
        if self.is_closed {
            return Err(Refusal::PoolClosed);
        }
        let flight = DialInFlight {
            waker,
            takes_any: takes != LateBinding::Off,
            answer: None,
        };
        self.flights
            .0
            .insert((right.destination, right.ticket), flight);
        if takes == LateBinding::GivenBack {
            // What stands there is passed over now, but not when it comes back from a loan.
            self.revoke_all_of(right.destination);
        }
        if takes != LateBinding::Any || self.entry(right.destination).shelf.len() == 0 {
            return Ok(None);
        }
        Ok(self.resume_late_binding(right, now, effects))
    }

    /// A connection for a dial in flight: its caller fetches it with `take_dial_answer`.
    pub(super) fn answer_dial(
        &mut self,
        id: DestinationId,
        ticket: Ticket,
        conn: C,
        effects: &mut Effects<C>,
    ) {
        self.schedule_retirement(&conn);
        self.begin_borrow(id);
        if let Some(flight) = self.flights.0.get_mut(&(id, ticket)) {
            effects.wakes.push(flight.waker.clone());
            flight.answer = Some(conn);
        }
    }

    /// True if the dial's caller has been given a connection.
    pub(crate) fn is_dial_answered(&self, right: DialRight) -> bool {
        let flight = self.flights.0.get(&(right.destination, right.ticket));
        flight.is_some_and(|flight| flight.answer.is_some())
    }

    /// The connection that the dial's caller has been given; it is given no other, so that none is
    /// stuck here while the dial goes on for nobody.
    pub(crate) fn take_dial_answer(&mut self, right: DialRight) -> Option<C> {
        let flight = self.flights.of(right)?;
        let answer = flight.answer.take()?;
        flight.takes_any = false;
        Some(answer)
    }

    /// on_open begins, or its caller has left: from now on its own connection is all that it takes.
    /// What it was given meanwhile goes to the next.
    pub(crate) fn stop_late_binding(
        &mut self,
        right: DialRight,
        now: Time,
        effects: &mut Effects<C>,
    ) {
        let Some(flight) = self.flights.of(right) else {
            return;
        };
        flight.takes_any = false;
        if let Some(conn) = flight.answer.take() {
            self.pass_on(Some(conn), right.destination, now, effects);
        }
    }

    /// The dial's caller takes one that is idle, or else the next that is given back.
    pub(crate) fn resume_late_binding(
        &mut self,
        right: DialRight,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<C> {
        let destination = self.entry(right.destination).destination.clone();
        let idle = self.take_idle(&destination, |_| true, now, effects);
        if let Some(flight) = self.flights.of(right) {
            flight.takes_any = idle.is_none();
        }
        idle
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
                self.settle_in(id, conn, Disposition::Keep, now, effects);
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

    /// A dial succeeded: its connection is borrowed now, unless the pool was closed meanwhile
    /// (`Err`: it counts no more, and is to be closed by the caller).
    pub(crate) fn dial_done(
        &mut self,
        right: DialRight,
        conn: &C,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Result<Option<Untold>, Refusal> {
        if self.is_closed {
            self.dial_failed(right, None, now, effects);
            return Err(Refusal::PoolClosed);
        }
        self.counters.dials += 1;
        conn.set_eviction_epoch(self.evictions);
        let unfetched = self.end_dial(right);
        self.begin_borrow(right.destination);
        let destination = self.entry(right.destination).destination.clone();
        self.failures.succeeded(&destination);
        self.clear_refill_failures(right.destination);
        self.schedule_retirement(conn);
        Ok(self.free_dial(right, 0, unfetched, now, effects))
    }

    /// A dial failed, or was given up; with the error if the destination is to blame, and when that
    /// was by the exact clock: what counts from there may not be shorter than it says.
    pub(crate) fn dial_failed(
        &mut self,
        right: DialRight,
        blame: Option<(&Error, Time)>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<Untold> {
        self.counters.dials += 1;
        self.counters.dial_failures += 1;
        let destination = self.entry(right.destination).destination.clone();
        match blame {
            Some((error, at)) => self.failures.failed(destination, right.ticket, error, at),
            None => self.failures.probe_ended(&destination, right.ticket),
        }
        let unfetched = self.end_dial(right);
        self.free_dial(right, 1, unfetched, now, effects)
    }

    /// The end of a dial frees its turn, so many slots, and what it was answered with and nobody
    /// fetched: now, or once the end has been told.
    fn free_dial(
        &mut self,
        right: DialRight,
        slots: u32,
        unfetched: Option<C>,
        now: Time,
        effects: &mut Effects<C>,
    ) -> Option<Untold> {
        let Some(untold) = self.hold_until_told(right.destination, slots, 1) else {
            self.pass_on(unfetched, right.destination, now, effects);
            return None;
        };
        let untold = match unfetched {
            Some(conn) => self.hold_unfetched(untold, right.ticket, conn),
            None => untold,
        };
        self.refresh(right.destination);
        Some(untold)
    }
}
