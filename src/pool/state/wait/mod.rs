//! The wait queue: which borrowers wait for a connection, in which order, and which is served next.
//!
//! Every borrower draws a ticket. One that cannot be served keeps it and waits in the queue of its
//! destination. Every transition ends by serving waiters until none can be served. That invariant
//! makes newcomers safe: what a newcomer finds free is of no use to any waiter.
//!
//! | a waiter that wants | is held back by | is served by |
//! |---|---|---|
//! | any | a limit of its destination, or its turn to dial | a connection of its destination |
//! | any | max_conns alone | a connection of its destination, or any free slot |
//! | a fresh one | either | a free slot; one of its destination's connections is closed for it |
//!
//! `slot_waiters` holds the oldest ticket of each destination that only max_conns keeps from
//! dialing. So the waiter that gets a free slot is found without passing those that their own
//! limits hold.
#![forbid(unsafe_code)]

pub(in crate::pool::state) mod destination_queue;
pub(crate) mod wait_loop;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pool::state::answer::{Effects, Reuse, Take, Ticket, WaitPoll};
use crate::pool::state::held::Held;
use crate::pool::state::{DestinationId, DestinationState, State};
use crate::values::clock::Time;

#[derive(Debug)]
struct QueuedWaiter<C: Held> {
    destination: DestinationId,
    reuse: Reuse,
    /// Counts against max_waiters; one that only waits for its turn to dial does not.
    is_limited: bool,
    waker: C::Waker,
    answer: Option<Take<C>>,
}

/// The waiters of a pool.
#[derive(Debug)]
pub(in crate::pool::state) struct WaitQueue<C: Held> {
    next: u64,
    /// Those with an answer stay until they fetch it.
    waiters: BTreeMap<Ticket, QueuedWaiter<C>>,
    /// Without an answer.
    waiting: u32,
    /// Of those, the ones that count against max_waiters.
    pub(in crate::pool::state) limited: u32,
    /// Those that count against max_waiters until WAIT_DONE has been told.
    pub(in crate::pool::state) untold: BTreeSet<Ticket>,
    slot_waiters: BTreeSet<(Ticket, DestinationId)>,
}

impl<C: Held> WaitQueue<C> {
    pub(in crate::pool::state) const fn new() -> Self {
        Self {
            next: 0,
            waiters: BTreeMap::new(),
            waiting: 0,
            limited: 0,
            untold: BTreeSet::new(),
            slot_waiters: BTreeSet::new(),
        }
    }

    pub(in crate::pool::state) fn draw(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    pub(in crate::pool::state) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The oldest of those whom a free slot would serve.
    pub(in crate::pool::state) fn first_slot_waiter(&self) -> Option<(Ticket, DestinationId)> {
        self.slot_waiters.first().copied()
    }
}

impl<C: Held> State<C> {
    /// Puts a borrower in line.
    pub(in crate::pool::state) fn enqueue(
        &mut self,
        ticket: Ticket,
        id: DestinationId,
        reuse: Reuse,
        waker: C::Waker,
    ) {
        let waiter = QueuedWaiter {
            destination: id,
            reuse,
            is_limited: false,
            waker,
            answer: None,
        };
        self.queue.waiters.insert(ticket, waiter);
        self.queue.waiting += 1;
        self.entry(id).queue.insert(ticket, reuse);
        self.refresh(id);
    }

    /// The waiter is held back by a limit: it counts against max_waiters.
    pub(in crate::pool::state) fn count_as_limited(&mut self, ticket: Ticket) {
        if let Some(waiter) = self.queue.waiters.get_mut(&ticket) {
            waiter.is_limited = true;
            self.queue.limited += 1;
        }
    }

    /// A waiter slept for so long.
    pub(crate) fn add_wait_time(&mut self, duration: Duration) {
        self.counters.wait_us += duration.as_micros() as u64;
    }

    /// The waiter that a free slot serves once so many others have been served.
    pub(in crate::pool::state) fn slot_waiter_after(&self, mut others: u32) -> Option<Ticket> {
        if others == 0 {
            return self.queue.first_slot_waiter().map(|(ticket, _)| ticket);
        }
        let mut served = BTreeMap::<DestinationId, u32>::new();
        for (&ticket, waiter) in &self.queue.waiters {
            let entry = self.known(Some(waiter.destination));
            let before = served.entry(waiter.destination).or_default();
            let may_dial = |entry: &DestinationState| {
                entry.may_dial_after(*before, waiter.reuse, &self.limits)
            };
            if waiter.answer.is_some() || !entry.is_some_and(may_dial) {
                continue;
            }
            if others == 0 {
                return Some(ticket);
            }
            others -= 1;
            *before += 1;
        }
        None
    }

    /// To be called after every change of a destination's numbers: keeps `slot_waiters` true.
    pub(in crate::pool::state) fn refresh(&mut self, id: DestinationId) {
        let Some(Some(entry)) = self.entries.get(id as usize) else {
            return;
        };
        if entry.queue.is_unused() {
            return;
        }
        let oldest = entry.queue.oldest();
        let head = oldest
            .filter(|&(_, reuse)| entry.may_dial(reuse, &self.limits))
            .map(|(ticket, _)| ticket);
        let before = entry.queue.head();
        if before == head && !entry.queue.is_empty() {
            return;
        }
        if let Some(before) = before {
            self.queue.slot_waiters.remove(&(before, id));
        }
        if let Some(head) = head {
            self.queue.slot_waiters.insert((head, id));
        }
        self.entry(id).queue.set_head(head);
    }

    /// Serves whoever can be served by slots, the oldest first. The end of every transition. Where
    /// those are many, the effects say that there may be more.
    pub(crate) fn serve(&mut self, now: Time, effects: &mut Effects<C>) {
        while !effects.are_many() {
            if !self.serve_next(now, effects) {
                return;
            }
        }
        effects.leaves_waiters = self.queue.first_slot_waiter().is_some();
    }

    /// False if nobody could be served.
    pub(in crate::pool::state) fn serve_next(
        &mut self,
        now: Time,
        effects: &mut Effects<C>,
    ) -> bool {
        let Some((ticket, id)) = self.queue.first_slot_waiter() else {
            return false;
        };
        self.is_for_taker = self.taker == Some(ticket);
        let destination = self.entry(id).destination.clone();
        let waiter = self.queue.waiters.get(&ticket);
        let reuse = waiter.map_or(Reuse::Allowed, |one| one.reuse);
        let answer = match self.failures.check(&destination, now) {
            Err(refusal) => Take::Refused(refusal),
            Ok(()) if self.find_obstacle(Some(id), reuse).is_some() => return false,
            Ok(()) => {
                self.make_room(Some(id), reuse, effects);
                if self.must_wait_until_told(id) {
                    return false;
                }
                Take::Dial(self.begin_dial(id, ticket), destination)
            }
        };
        self.answer(ticket, answer, effects);
        // It may have been the last that its destination was known for.
        self.forget_if_empty(id);
        true
    }

    pub(in crate::pool::state) fn answer(
        &mut self,
        ticket: Ticket,
        answer: Take<C>,
        effects: &mut Effects<C>,
    ) {
        self.dequeue(ticket);
        if let Some(waiter) = self.queue.waiters.get_mut(&ticket) {
            waiter.answer = Some(answer);
            effects.wakes.push(waiter.waker.clone());
        }
    }

    /// Out of the row, still on the list.
    fn dequeue(&mut self, ticket: Ticket) {
        let Some(waiter) = self.queue.waiters.get(&ticket) else {
            return;
        };
        let (id, reuse) = (waiter.destination, waiter.reuse);
        self.queue.waiting -= 1;
        if waiter.is_limited && self.is_observed {
            self.queue.untold.insert(ticket);
        } else {
            self.queue.limited -= u32::from(waiter.is_limited);
        }
        self.entry(id).queue.remove(ticket, reuse);
        self.refresh(id);
    }

    /// Who gets a connection of that destination as it is.
    pub(in crate::pool::state) fn oldest_who_takes_any(
        &mut self,
        id: DestinationId,
    ) -> Option<Ticket> {
        self.entry(id).queue.oldest_of_any()
    }

    /// Hands a connection to a waiter as it is.
    pub(in crate::pool::state) fn hand_to(
        &mut self,
        ticket: Ticket,
        conn: C,
        id: DestinationId,
        effects: &mut Effects<C>,
    ) {
        self.schedule_retirement(&conn);
        self.begin_borrow(id);
        self.answer(ticket, Take::Reuse(conn), effects);
    }

    /// What a waiter has been answered, once; `None`: nothing yet.
    pub(crate) fn collect(&mut self, ticket: Ticket) -> Option<Take<C>> {
        self.queue.waiters.get(&ticket)?.answer.as_ref()?;
        let waiter = self.queue.waiters.remove(&ticket)?;
        if self.queue.waiters.is_empty() {
            self.queue.waiters = BTreeMap::new();
        }
        waiter.answer
    }

    /// A waiter is awake: its answer, or whether it goes on. `is_late`: wait_timeout_ms has passed,
    /// which does not bound the wait for a turn to dial; `is_over`: all the time that the dial had.
    pub(crate) fn poll_wait(
        &mut self,
        ticket: Ticket,
        is_late: bool,
        is_over: bool,
        now: Time,
        effects: &mut Effects<C>,
    ) -> WaitPoll<C> {
        let Some(waiter) = self.queue.waiters.get(&ticket) else {
            unreachable!("a ticket is in line until its answer is fetched");
        };
        let (id, reuse) = (waiter.destination, waiter.reuse);
        let obstacle = match &waiter.answer {
            None if !is_late => return WaitPoll::Pending,
            None => self.find_obstacle(Some(id), reuse),
            // Too late to dial with it.
            Some(Take::Dial(..)) if is_over => None,
            Some(_) => {
                return self
                    .collect(ticket)
                    .map_or(WaitPoll::Pending, WaitPoll::Ready)
            }
        };
        if !is_over && obstacle.is_some_and(|obstacle| obstacle.is_turn) {
            return WaitPoll::Pending;
        }
        let why = self.numbers(obstacle, Some(id));
        self.counters.wait_timeouts += 1;
        self.cancel_wait(ticket, now, effects);
        WaitPoll::TimedOut(why)
    }

    /// A waiter goes, and swallows nothing: what it has been answered goes to the next.
    pub(crate) fn cancel_wait(&mut self, ticket: Ticket, now: Time, effects: &mut Effects<C>) {
        match self.collect(ticket) {
            Some(Take::Dial(right, _)) => self.give_up(right, now, effects),
            Some(Take::Reuse(conn)) => {
                let id = conn.destination_id();
                // A defect: a waiter that goes takes along what it was given (tests/planted).
                let is_lost = cfg!(feature = "plant-lost-hand-off");
                self.pass_on((!is_lost).then_some(conn), id, now, effects);
            }
            Some(Take::Refused(_) | Take::Wait) => {}
            None => {
                let Some(id) = self.queue.waiters.get(&ticket).map(|one| one.destination) else {
                    return;
                };
                self.dequeue(ticket);
                self.queue.waiters.remove(&ticket);
                self.settle(id, now, effects);
            }
        }
    }

    /// The oldest from there on who has no answer yet, and the destination.
    pub(in crate::pool::state) fn next_waiter(
        &self,
        from: Ticket,
    ) -> Option<(Ticket, DestinationId)> {
        let mut waiters = self.queue.waiters.range(from..);
        let next = waiters.find(|(_, waiter)| waiter.answer.is_none());
        next.map(|(&ticket, waiter)| (ticket, waiter.destination))
    }
}
