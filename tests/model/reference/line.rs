//! Who gets what: everything in which the order of tickets counts.
#![forbid(unsafe_code)]

use super::{Answer, Call, Conn, Found, HeldBy, Late, Reference, SlotId, Waiter};
use crate::pool::state::answer::{Refusal, Reuse};
use crate::pool::state::counters::CloseCause;
use crate::values::options::ReuseOrder;

impl Reference {
    /// Who is next in line for a slot: the oldest whom its own destination's limits let dial. "A
    /// waiter held by its own per-address limit is skipped and keeps its ticket."
    fn next_in_line(&self) -> Option<Call> {
        let mut calls = self.waiting().map(|waiter| waiter.call);
        calls.find(|call| !self.is_held_by_its_own(call))
    }

    fn is_held_by_its_own(&self, call: &Call) -> bool {
        self.held_by_conns_per_address(call.to, call.reuse) || self.held_by_turn(call.to)
    }

    /// The end of everything that happens: whoever can be served by a slot is. Who is next in line
    /// to dial where dials fail at once is told so (of those behind it the contract says no more
    /// than that one failed dial fails one caller).
    pub(super) fn serve(&mut self) {
        while let Some(call) = self.next_in_line() {
            let answer = match self.failing(call.to) {
                Some(refusal) => Answer::Refused(refusal),
                None if self.held_by_conns(call.to, call.reuse) => break,
                None => self.begin_dial(call.to, call.reuse),
            };
            self.answer(call.ticket, answer);
        }
        if self.count(Conn::is_borrowed) == 0 {
            self.wakes.append(&mut self.drain_waiters);
        }
    }

    fn waiter(&mut self, ticket: u64) -> Option<&mut Waiter> {
        let mut waiters = self.waiters.iter_mut();
        waiters.find(|waiter| waiter.call.ticket == ticket)
    }

    pub(super) fn answer(&mut self, ticket: u64, answer: Answer) {
        let waiter = self.waiter(ticket).expect("it is in line");
        waiter.answer = Some(answer);
        self.wakes.push(ticket);
    }

    /// "What becomes free goes to the oldest waiter that it can serve at that instant": its own
    /// destination's (not FRESH ones) as it is, others by being closed for its slot. "Waiters come
    /// before dials in flight." Then it is kept, or closed because the shelf is full. Nobody needs
    /// its slot who can be served without.
    pub(super) fn offer(&mut self, id: u64) -> Result<(), CloseCause> {
        let before = self.before(id);
        let conn = self.remove(id);
        let oldest_first: Vec<Call> = self.waiting().map(|waiter| waiter.call).collect();
        for call in oldest_first {
            if call.to == conn.to && call.reuse == Reuse::Allowed {
                self.lend(conn);
                self.answer(call.ticket, Answer::Reuse(id));
                return Ok(());
            }
            if self.is_held_by_its_own(&call) {
                continue;
            }
            if let Some(refusal) = self.failing(call.to) {
                self.answer(call.ticket, Answer::Refused(refusal));
                continue;
            }
            self.lend(conn);
            if self.held(call.to, call.reuse).is_some() {
                return Err(CloseCause::Evicted);
            }
            let dial = self.begin_dial(call.to, call.reuse);
            self.answer(call.ticket, dial);
            self.remove(id);
        }
        if self.answers_a_dial(conn) {
            return Ok(());
        }
        let is_full = self.no_idle_room(conn.to).is_some();
        self.put_on_shelf(conn, &before);
        if is_full {
            return Err(CloseCause::IdleFull);
        }
        Ok(())
    }

    /// What stands before it.
    fn before(&self, id: u64) -> Vec<u64> {
        let ids = self.conns.iter().map(|conn| conn.id);
        ids.take_while(|&other| other != id).collect()
    }

    /// As the newest; one about which on_idle was asked stands where it stood.
    fn put_on_shelf(&mut self, conn: Conn, before: &[u64]) {
        if let SlotId::Asked { since, .. } = conn.place {
            let place = SlotId::Idle { since };
            let stood_before = |other: &&Conn| before.contains(&other.id);
            let at = self.conns.iter().filter(stood_before).count();
            self.conns.insert(at, Conn { place, ..conn });
        } else {
            let place = SlotId::Idle { since: self.now };
            self.conns.push(Conn { place, ..conn });
        }
    }

    fn lend(&mut self, conn: Conn) {
        let place = SlotId::Borrowed;
        self.conns.push(Conn { place, ..conn });
    }

    /// "A dial (unless FRESH) is answered by its own connect or a connection given back"; the
    /// oldest first.
    fn answers_a_dial(&mut self, conn: Conn) -> bool {
        let dials = self.flights.iter_mut();
        let takers = dials.filter(|dial| dial.to == conn.to && dial.takes_any);
        let oldest = takers
            .filter(|dial| dial.answer.is_none())
            .min_by_key(|dial| dial.ticket);
        let Some(dial) = oldest else {
            return false;
        };
        dial.answer = Some(conn.id);
        self.wakes.push(dial.waker);
        self.lend(conn);
        true
    }

    /// Somebody waits for a connection of that destination, or dials one and would take any.
    pub(super) fn is_awaited(&self, to: usize) -> bool {
        let takes_any =
            |waiter: &Waiter| waiter.call.to == to && waiter.call.reuse == Reuse::Allowed;
        let mut dials = self.flights.iter();
        self.waiting().any(takes_any)
            || dials.any(|dial| dial.to == to && dial.takes_any && dial.answer.is_none())
    }

    pub(super) fn expired(&self, conn: &Conn) -> Option<CloseCause> {
        self.lifetime(conn).or_else(|| self.idle_timeout(conn))
    }

    pub(super) fn take_idle(&mut self, to: usize, choose: impl Fn(&Conn) -> bool) -> Option<u64> {
        loop {
            let idle = self
                .conns
                .iter()
                .filter(|conn| conn.to == to && conn.is_idle());
            let mut good = idle.filter(|conn| choose(conn));
            let &conn = match self.rules.keeping.reuse_order {
                ReuseOrder::Lifo => good.next_back(),
                ReuseOrder::Fifo => good.next(),
            }?;
            let Some(cause) = self.expired(&conn) else {
                self.find(conn.id).place = SlotId::Borrowed;
                return Some(conn.id);
            };
            self.close(conn.id, cause);
        }
    }

    pub(in super::super) fn take(&mut self, call: Call) -> Answer {
        let Call { to, reuse, .. } = call;
        if self.is_closed {
            return Answer::Refused(Refusal::PoolClosed);
        }
        // A hit is no dial: where dials fail at once the idle ones are all there is.
        let rather_dials = call.distrusts_idle
            && reuse == Reuse::Allowed
            && self.failing(to).is_none()
            && self.held_or_full(to).is_none();
        if reuse != Reuse::Never && !rather_dials {
            let taken = self.take_idle(to, |_| true);
            if let Some(id) = taken {
                self.serve();
                return Answer::Reuse(id);
            }
            if reuse == Reuse::Only {
                self.serve();
                return Answer::Refused(Refusal::NothingIdle);
            }
        }
        if let Some(refusal) = self.failing(to) {
            self.serve();
            return Answer::Refused(refusal);
        }
        // What was closed here serves the oldest, which may be this one.
        self.stand_in_line(call)
    }

    /// "A newcomer takes nothing that an older waiter could be served with": everybody stands in
    /// line, and is served there.
    fn stand_in_line(&mut self, call: Call) -> Answer {
        let older = |waiter: &&Waiter| waiter.call.ticket < call.ticket;
        let at = self.waiters.iter().take_while(older).count();
        let waiter = Waiter {
            call,
            is_limited: false,
            answer: None,
        };
        self.waiters.insert(at, waiter);
        self.serve();
        if let Some(answer) = self.collect(call.ticket) {
            self.wakes.retain(|&ticket| ticket != call.ticket);
            return answer;
        }
        let held = self.held(call.to, call.reuse);
        if held.expect("it was not served") != HeldBy::Turn {
            if let Some(refusal) = self.may_not_wait(call, held) {
                self.waiters.retain(|one| one.call.ticket != call.ticket);
                return Answer::Refused(refusal);
            }
            self.waiter(call.ticket).expect("just put in").is_limited = true;
        }
        self.counters.waits += 1;
        Answer::Wait
    }

    /// "One waiter too many is POOL_EXHAUSTED"; the message counts the others.
    fn may_not_wait(&self, call: Call, held: Option<HeldBy>) -> Option<Refusal> {
        let limited = self.waiting().filter(|waiter| waiter.is_limited).count() as u32;
        let blocked = self.numbers(held, call.to, Some(call.ticket));
        match self.rules.limits.max_waiters {
            _ if !call.may_wait => Some(Refusal::Exhausted(blocked)),
            Some(max) if limited >= max && !call.has_waited => {
                Some(Refusal::TooManyWait(blocked, max))
            }
            _ => None,
        }
    }

    /// The connection that it got turned out to be unfit.
    pub(in super::super) fn take_another(
        &mut self,
        id: u64,
        cause: CloseCause,
        call: Call,
    ) -> Answer {
        self.close(id, cause);
        let answer = self.take(call);
        self.serve();
        answer
    }

    fn collect(&mut self, ticket: u64) -> Option<Answer> {
        let answer = self.waiter(ticket)?.answer.clone()?;
        self.waiters.retain(|waiter| waiter.call.ticket != ticket);
        Some(answer)
    }

    /// "A wait that runs out is TIMEOUT", but its turn to dial is waited for "within the dial's
    /// timeout".
    pub(in super::super) fn look_after(&mut self, ticket: u64, late: Late) -> Found {
        let waiter = self.waiter(ticket).expect("it waits").clone();
        let held = self.held(waiter.call.to, waiter.call.reuse);
        let why = match (waiter.answer, late) {
            (None, Late::InTime) => return Found::Nothing,
            (None, Late::ForWaiting) if held == Some(HeldBy::Turn) => return Found::Nothing,
            (None, _) => self.numbers(held, waiter.call.to, None),
            // Too late to dial with it.
            (Some(Answer::Dial { .. }), Late::ForDialing) => {
                self.numbers(None, waiter.call.to, None)
            }
            (Some(answer), _) => {
                self.collect(ticket);
                return Found::Answer(answer);
            }
        };
        self.counters.wait_timeouts += 1;
        self.leave(ticket);
        Found::Timeout(why)
    }

    /// "A waiter that timed out or was canceled never swallows a connection."
    pub(in super::super) fn leave(&mut self, ticket: u64) {
        let answer = self.collect(ticket);
        self.waiters.retain(|waiter| waiter.call.ticket != ticket);
        match answer {
            Some(Answer::Reuse(id)) => {
                self.come_back(id);
            }
            Some(Answer::Dial { id, .. }) => {
                self.end_dial(id);
                self.remove(id);
            }
            _ => {}
        }
        self.serve();
    }
}
