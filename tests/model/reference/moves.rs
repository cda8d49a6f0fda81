//! What happens to connections and dials.
#![forbid(unsafe_code)]

use super::{Answer, Conn, Failure, Flight, HeldBy, Reference, SlotId, DESTINATIONS};
use crate::pool::state::answer::{Disposition, Forgotten, Refusal, Reuse};
use crate::pool::state::counters::CloseCause;
use crate::values::clock::Time;
use crate::values::error::Error;
use crate::values::options::{Keeping, Limits};

impl Reference {
    /// The borrower begins.
    pub(in super::super) fn is_used(&mut self, id: u64) {
        self.find(id).uses += 1;
    }

    /// The same for one that came from the pool.
    pub(in super::super) fn is_reused(&mut self, id: u64) {
        self.is_used(id);
        self.counters.reuses += 1;
    }

    /// It is to be closed when it comes back.
    pub(in super::super) fn mark_unfit(&mut self, id: u64, cause: CloseCause) {
        self.find(id).unfit = Some(cause);
    }

    pub(in super::super) fn give_back(
        &mut self,
        id: u64,
        disposition: Disposition,
        has_data: bool,
    ) {
        self.find(id).has_data = has_data;
        // Counts what a borrower gave back, once, whatever becomes of it when a waiter leaves.
        self.counters.releases += u64::from(self.settle_in(id, disposition));
    }

    /// The same for one that was dialed for the shelf. True if it is kept or handed on.
    pub(in super::super) fn settle_in(&mut self, id: u64, disposition: Disposition) -> bool {
        let is_kept = match disposition {
            Disposition::Keep => self.come_back(id),
            Disposition::Close(cause) => {
                self.close(id, cause);
                false
            }
        };
        self.serve();
        is_kept
    }

    /// "Lifetime and uses are checked at give-back"; "nothing is ever shelved in a closed pool".
    pub(super) fn come_back(&mut self, id: u64) -> bool {
        let conn = *self.find(id);
        let max_uses = self.rules.keeping.max_uses;
        let kept = if let Some(cause) = conn.unfit {
            Err(cause)
        } else if self.is_closed {
            Err(CloseCause::PoolClosed)
        } else if max_uses.is_some_and(|max| conn.uses >= max) {
            Err(CloseCause::MaxUses)
        } else if let Some(cause) = self.lifetime(&conn) {
            Err(cause)
        } else if self.is_above_a_limit(conn.to) {
            Err(CloseCause::Evicted)
        } else if let SlotId::Asked {
            is_to_close: true, ..
        } = conn.place
        {
            Err(CloseCause::Evicted)
        } else {
            self.offer(id)
        };
        if let Err(cause) = kept {
            self.close(id, cause);
        }
        kept.is_ok()
    }

    /// Borrowed, and found unfit before its borrower saw it.
    pub(in super::super) fn reject(&mut self, id: u64, cause: CloseCause) {
        self.close(id, cause);
        self.serve();
    }

    /// A dial runs, and its caller may be served otherwise: by what is idle, if it takes that.
    pub(in super::super) fn start_dial(
        &mut self,
        id: u64,
        ticket: u64,
        waker: u64,
        takes: (bool, bool),
    ) -> Result<Option<u64>, Refusal> {
        if self.is_closed {
            return Err(Refusal::PoolClosed);
        }
        let (takes_any, takes_idle) = takes;
        let to = self.find(id).to;
        self.flights.push(Flight {
            id,
            to,
            ticket,
            waker,
            takes_any,
            answer: None,
        });
        let taken = takes_idle.then(|| self.take_idle(to, |_| true)).flatten();
        self.serve();
        Ok(taken)
    }

    fn flight(&mut self, id: u64) -> &mut Flight {
        let flight = self.flights.iter_mut().find(|flight| flight.id == id);
        flight.expect("it runs")
    }

    /// It is given no other: "its connect then goes on in the background".
    pub(in super::super) fn take_dial_answer(&mut self, id: u64) -> Option<u64> {
        let flight = self.flight(id);
        let answer = flight.answer.take()?;
        flight.takes_any = false;
        Some(answer)
    }

    /// The answer was unfit, as at any borrow: the next one, now or later.
    pub(in super::super) fn resume_late_binding(&mut self, id: u64) -> Option<u64> {
        let to = self.find(id).to;
        let taken = self.take_idle(to, |_| true);
        self.flight(id).takes_any = taken.is_none();
        self.serve();
        taken
    }

    /// A right to dial that nobody used.
    pub(in super::super) fn give_up(&mut self, id: u64) {
        let unfetched = self.end_dial(id);
        self.remove(id);
        if let Some(unfetched) = unfetched {
            self.come_back(unfetched);
        }
        self.serve();
    }

    pub(in super::super) fn dialed(&mut self, id: u64, retire_at: Time) -> Result<(), Refusal> {
        if self.is_closed {
            self.dial_failed(id, None);
            return Err(Refusal::PoolClosed);
        }
        self.counters.dials += 1;
        let unfetched = self.end_dial(id);
        let conn = self.find(id);
        conn.place = SlotId::Borrowed;
        conn.retire_at = retire_at;
        let to = conn.to;
        self.failures[to] = None;
        if let Some(unfetched) = unfetched {
            self.come_back(unfetched);
        }
        self.serve();
        Ok(())
    }

    pub(in super::super) fn dial_failed(&mut self, id: u64, blame: Option<&Error>) {
        self.counters.dials += 1;
        self.counters.dial_failures += 1;
        let unfetched = self.end_dial(id);
        let to = self.remove(id).to;
        if let (Some(error), Some(lasts)) = (blame, self.rules.fail_fast) {
            let probe = self.failures[to].as_ref().and_then(|one| one.probe);
            self.failures[to] = Some(Failure {
                error: error.clone(),
                until: self.now.after(lasts),
                probe,
            });
        }
        if let Some(unfetched) = unfetched {
            self.come_back(unfetched);
        }
        self.serve();
    }

    /// Detached, or given away by `get`.
    pub(in super::super) fn forget(&mut self, id: u64, how: Forgotten) {
        *match how {
            Forgotten::Detached => &mut self.counters.detached,
            Forgotten::Got => &mut self.counters.gets,
        } += 1;
        self.remove(id);
        self.serve();
    }

    /// "A connection with user data is not given away by get."
    pub(in super::super) fn get(&mut self, to: usize) -> Option<u64> {
        let got = self.take_idle(to, |conn| !conn.has_data);
        self.serve();
        got
    }

    /// "A waiter gets it first; at a limit (after evicting elsewhere) EXHAUSTED, with no idle room
    /// IDLE_FULL"; which of the two where both hold, the contract does not say.
    pub(in super::super) fn put(
        &mut self,
        id: u64,
        to: usize,
        retire_at: Time,
    ) -> Result<(), Refusal> {
        if self.is_closed {
            return Err(Refusal::PoolClosed);
        }
        if let (false, Some(refusal)) = (self.is_awaited(to), self.no_idle_room(to)) {
            return Err(refusal);
        }
        match self.held(to, Reuse::Allowed) {
            Some(HeldBy::Turn) | None => {}
            held => {
                return Err(Refusal::Exhausted(self.numbers(held, to, None)));
            }
        }
        self.make_room(to, Reuse::Allowed);
        self.counters.puts += 1;
        self.conns
            .push(Conn::new(id, to, SlotId::Borrowed, retire_at));
        self.offer(id).expect("there is room");
        self.serve();
        Ok(())
    }

    /// warm: "dials until `count` are idle; never above a limit". `None`: enough are. Nothing is
    /// closed for it (the contract does not say so).
    pub(in super::super) fn take_for_idle(
        &mut self,
        to: usize,
        wanted: u32,
    ) -> Result<Option<Answer>, Refusal> {
        if self.is_closed {
            return Err(Refusal::PoolClosed);
        }
        if self.idle_of(to) + self.asked_of(to) >= wanted {
            return Ok(None);
        }
        if let Some(refusal) = self.failing(to) {
            return Err(refusal);
        }
        if let Some(held) = self.held_or_full(to) {
            return Err(Refusal::Exhausted(self.numbers(Some(held), to, None)));
        }
        match self.no_idle_room(to) {
            Some(refusal) => Err(refusal),
            None => Ok(Some(self.begin_dial(to, Reuse::Allowed))),
        }
    }

    /// Idle, and found unfit.
    pub(in super::super) fn remove_idle(&mut self, id: u64, cause: CloseCause) {
        self.close(id, cause);
        self.serve();
    }

    /// Closes those idle for which there is a reason.
    pub(in super::super) fn close_each_idle(
        &mut self,
        why: impl Fn(&Self, &Conn) -> Option<CloseCause>,
    ) {
        for conn in self.conns.clone() {
            if let (true, Some(cause)) = (conn.is_idle(), why(self, &conn)) {
                self.close(conn.id, cause);
            }
        }
        self.serve();
    }

    pub(in super::super) fn idle_timeout(&self, conn: &Conn) -> Option<CloseCause> {
        let timeout = self.rules.keeping.idle_timeout?;
        let SlotId::Idle { since } = conn.place else {
            return None;
        };
        (since.after(timeout) <= self.now).then_some(CloseCause::IdleTimeout)
    }

    pub(in super::super) fn lifetime(&self, conn: &Conn) -> Option<CloseCause> {
        (conn.retire_at <= self.now).then_some(CloseCause::Lifetime)
    }

    pub(in super::super) fn close_longest_idle(&mut self) -> bool {
        let longest = self.longest_idle(|_| true);
        if let Some(id) = longest {
            self.close(id, CloseCause::Evicted);
        }
        self.serve();
        longest.is_some()
    }

    /// set_limits: "what is idle above a lowered limit (of idle ones, of all, per address) is
    /// closed at once, longest idle first".
    pub(in super::super) fn set_limits(&mut self, limits: &Limits, keeping: &Keeping) {
        self.rules.limits = limits.clone();
        self.rules.keeping = keeping.clone();
        for to in 0..DESTINATIONS {
            self.close_used_up(to);
            let max_idle = limits.max_idle_per_address;
            let max_conns = limits.max_conns_per_address;
            self.close_idle_while(
                |conn| conn.to == to,
                |all| {
                    all.idle_of(to) > max_idle
                        || max_conns.is_some_and(|max| all.count(|conn| conn.to == to) > max)
                },
            );
        }
        self.close_idle_while(
            |_| true,
            |all| {
                let idle = all.count(Conn::is_idle);
                limits.max_idle.is_some_and(|max| idle > max)
                    || limits
                        .max_conns
                        .is_some_and(|max| all.count(|_| true) > max)
            },
        );
        self.serve();
    }

    /// "Lifetime, uses, idle age are checked ... in the background": none stays idle that has no
    /// uses left.
    fn close_used_up(&mut self, to: usize) {
        let Some(max) = self.rules.keeping.max_uses else {
            return;
        };
        let idle = self.conns.iter().filter(|conn| conn.to == to);
        let idle = idle.filter(|conn| conn.is_idle() && conn.uses >= max);
        let used_up: Vec<u64> = idle.map(|conn| conn.id).collect();
        for id in used_up {
            self.close(id, CloseCause::MaxUses);
        }
    }

    fn close_idle_while(
        &mut self,
        which: impl Fn(&Conn) -> bool,
        is_above: impl Fn(&Self) -> bool,
    ) {
        while is_above(self) {
            let Some(longest) = self.longest_idle(&which) else {
                return;
            };
            self.close(longest, CloseCause::Evicted);
        }
    }

    /// "What is borrowed above it is closed as it comes back, until the limit holds."
    fn is_above_a_limit(&self, to: usize) -> bool {
        let limits = &self.rules.limits;
        let own = self.count(|conn| conn.to == to);
        limits
            .max_conns
            .is_some_and(|max| self.count(|_| true) > max)
            || limits.max_conns_per_address.is_some_and(|max| own > max)
    }

    /// "Waiters and dials in flight end with POOL_CLOSED."
    pub(in super::super) fn end(&mut self) {
        self.is_closed = true;
        let waiting: Vec<u64> = self.waiting().map(|waiter| waiter.call.ticket).collect();
        for ticket in waiting {
            self.answer(ticket, Answer::Refused(Refusal::PoolClosed));
        }
        self.wakes
            .extend(self.flights.iter().map(|dial| dial.waker));
        self.close_each_idle(|_, _| Some(CloseCause::PoolClosedWhileIdle));
    }

    /// How many are borrowed; if any are, the waker is woken when the last has come home.
    pub(in super::super) fn wait_until_returned(&mut self, waker: u64) -> u32 {
        let borrowed = self.count(Conn::is_borrowed);
        if borrowed > 0 {
            self.drain_waiters.push(waker);
        }
        borrowed
    }
}
