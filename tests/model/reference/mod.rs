//! What the C contract says of a pool's limits, its line and its shelves, said as plainly as
//! possible: one list of connections, one list of waiters, and a search through both for
//! everything.
//!
//! Written from the contract's words, not from the code that it judges. Where the contract is
//! silent the comment says so, and what is chosen there is what the library does. `world` drives it
//! side by side with the real state.
#![forbid(unsafe_code)]

mod fast_path;
mod idle_checks;
mod line;
mod moves;

use std::time::Duration;

use crate::pool::state::answer::{LimitReached, Refusal, Reuse};
use crate::pool::state::counters::{CloseCause, Counters};
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::error::Error;
use crate::values::options::{Keeping, Limits, ReuseOrder};

/// So many destinations are played with; the first two have one address and two tags.
pub(super) const DESTINATIONS: usize = 3;

/// What a pool is made with.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) keeping: Keeping,
    pub(super) fail_fast: Option<Duration>,
    /// How often on_idle is asked about each idle one; `None`: there is none.
    pub(super) on_idle: Option<Duration>,
    /// There is an on_event: what is freed is told first.
    pub(super) is_observed: bool,
}

impl Rules {
    /// What `Options::are_plain` asks for, as far as the state knows it.
    pub(super) fn are_plain(&self) -> bool {
        let keeping = &self.keeping;
        !self.is_observed
            && keeping.max_lifetime.is_none()
            && keeping.max_uses.is_none()
            && keeping.reuse_order == ReuseOrder::Lifo
    }

    /// A waiter that an untold slot will serve still counts against max_waiters, as an observer
    /// counts it: more are sent away than the reference, which tells at once, would send.
    pub(super) fn leave_max_waiters_if_observed(&mut self) {
        if self.is_observed {
            self.limits.max_waiters = None;
        }
    }

    pub(super) fn make_plain(&mut self) {
        self.keeping.max_lifetime = None;
        self.keeping.max_uses = None;
        self.keeping.reuse_order = ReuseOrder::Lifo;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotId {
    Dialing,
    Borrowed,
    Idle {
        since: Time,
    },
    /// on_idle is asked about it: it counts as borrowed, and stands among those that are idle.
    Asked {
        since: Time,
        /// close_idle was called meanwhile.
        is_to_close: bool,
    },
}

/// What counts against the limits; a dial has the number of the connection that it becomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conn {
    pub(super) id: u64,
    pub(super) to: usize,
    pub(super) place: SlotId,
    pub(super) uses: u32,
    pub(super) retire_at: Time,
    pub(super) has_data: bool,
    /// When on_idle was asked about it last.
    asked_at: Time,
    /// It hung up, or was evicted or aborted, while it was borrowed.
    pub(super) unfit: Option<CloseCause>,
}

impl Conn {
    fn new(id: u64, to: usize, place: SlotId, retire_at: Time) -> Self {
        Self {
            id,
            to,
            place,
            uses: 0,
            retire_at,
            has_data: false,
            asked_at: Time::default(),
            unfit: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.place, SlotId::Idle { .. })
    }

    pub(super) fn is_borrowed(&self) -> bool {
        self.place == SlotId::Borrowed || self.is_asked()
    }

    pub(super) fn is_asked(&self) -> bool {
        matches!(self.place, SlotId::Asked { .. })
    }

    fn is_dialing(&self) -> bool {
        self.place == SlotId::Dialing
    }
}

/// One who asks. The ticket stays the same when it asks again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) ticket: u64,
    pub(super) to: usize,
    pub(super) reuse: Reuse,
    pub(super) may_wait: bool,
    /// It found several idle ones dead: where nothing is in the way it dials rather than find more.
    pub(super) distrusts_idle: bool,
    pub(super) has_waited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Reuse(u64),
    Dial { id: u64, is_probe: bool },
    Refused(Refusal),
    Wait,
}

impl Answer {
    /// The dial's number, and whether it is a probe.
    pub(super) fn dial(&self) -> (u64, bool) {
        match self {
            Self::Dial { id, is_probe } => (*id, *is_probe),
            _ => unreachable!("asked of a dial"),
        }
    }
}

/// How much of a waiter's time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    InTime,
    /// wait_timeout_ms has passed.
    ForWaiting,
    /// So has all the time of the dial.
    ForDialing,
}

/// What a waiter finds when it wakes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Answer(Answer),
    Nothing,
    /// Its time has passed, and it is out of the line.
    Timeout(LimitReached),
}

#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) call: Call,
    /// Counts against max_waiters. The contract does not say whether this can change while one
    /// waits; here it cannot.
    is_limited: bool,
    /// Answered, and not fetched yet.
    pub(super) answer: Option<Answer>,
}

/// A dial that runs while its caller can be served otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// Of the dial.
    id: u64,
    to: usize,
    /// Its caller's.
    ticket: u64,
    waker: u64,
    takes_any: bool,
    /// A connection, not fetched yet.
    pub(super) answer: Option<u64>,
}

#[derive(Clone, Debug)]
struct Failure {
    error: Error,
    until: Time,
    /// The one dial that was let through; until it has ended the others fail, whatever becomes of
    /// dials begun before.
    probe: Option<u64>,
}

/// What keeps a dial from beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldBy {
    ConnsPerAddress,
    Conns,
    Turn,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    rules: Rules,
    pub(super) now: Time,
    pub(super) is_closed: bool,
    /// Those that are idle stand in the order in which they were put on their shelves.
    pub(super) conns: Vec<Conn>,
    /// In the order of their tickets.
    pub(super) waiters: Vec<Waiter>,
    flights: Vec<Flight>,
    failures: [Option<Failure>; DESTINATIONS],
    pub(super) counters: Counters,
    last_id: u64,
    drain_waiters: Vec<u64>,
    /// What this step has closed, and whom it has answered.
    pub(super) closes: Vec<(u64, CloseCause)>,
    pub(super) wakes: Vec<u64>,
}

impl Reference {
    pub(super) fn new(rules: Rules, now: Time) -> Self {
        Self {
            rules,
            now,
            is_closed: false,
            conns: Vec::new(),
            waiters: Vec::new(),
            flights: Vec::new(),
            failures: [const { None }; DESTINATIONS],
            counters: Counters::default(),
            last_id: 0,
            drain_waiters: Vec::new(),
            closes: Vec::new(),
            wakes: Vec::new(),
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn count(&self, which: impl Fn(&Conn) -> bool) -> u32 {
        self.conns.iter().filter(|conn| which(conn)).count() as u32
    }

    pub(super) fn idle_of(&self, to: usize) -> u32 {
        self.count(|conn| conn.to == to && conn.is_idle())
    }

    pub(super) fn dialing_to(&self, to: usize) -> u32 {
        self.count(|conn| conn.to == to && conn.is_dialing())
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter().filter(|waiter| waiter.answer.is_none())
    }

    fn find(&mut self, id: u64) -> &mut Conn {
        let found = self.conns.iter_mut().find(|conn| conn.id == id);
        found.expect("the pool counts it")
    }

    fn remove(&mut self, id: u64) -> Conn {
        let at = self.conns.iter().position(|conn| conn.id == id);
        self.conns.remove(at.expect("the pool counts it"))
    }

    fn close(&mut self, id: u64, cause: CloseCause) {
        self.remove(id);
        let counters = &mut self.counters;
        *match cause {
            CloseCause::StaleAtBorrow => &mut counters.stale_at_borrow,
            CloseCause::DirtyAtBorrow => &mut counters.dirty_at_borrow,
            CloseCause::PeerClosedWhileIdle | CloseCause::DirtyWhileIdle => {
                &mut counters.closed_while_idle
            }
            CloseCause::IdleTimeout => &mut counters.closed_idle_timeout,
            CloseCause::Lifetime => &mut counters.closed_lifetime,
            CloseCause::MaxUses => &mut counters.closed_max_uses,
            CloseCause::IdleFull => &mut counters.closed_idle_full,
            CloseCause::Evicted | CloseCause::PoolClosedWhileIdle => &mut counters.closed_evicted,
            CloseCause::Hook => &mut counters.closed_hook,
            CloseCause::ForeignFd => &mut counters.closed_foreign_fd,
            CloseCause::Discarded
            | CloseCause::Failed
            | CloseCause::PeerClosedAtGiveBack
            | CloseCause::PoolClosed => &mut counters.closed_discarded,
        } += 1;
        self.closes.push((id, cause));
    }

    fn longest_idle(&self, which: impl Fn(&Conn) -> bool) -> Option<u64> {
        let idle = self.conns.iter().filter_map(|conn| match conn.place {
            SlotId::Idle { since } if which(conn) => Some((since, conn.id)),
            _ => None,
        });
        // Of two that became so at once: the first.
        idle.min_by_key(|&(since, _)| since).map(|(_, id)| id)
    }

    fn is_full(&self) -> bool {
        let max = self.rules.limits.max_conns;
        max.is_some_and(|max| self.conns.len() as u32 >= max)
    }

    /// "max_conns counts idle + borrowed + being dialed"; for a fresh dial those idle can be
    /// closed, its own too.
    fn held_by_conns_per_address(&self, to: usize, reuse: Reuse) -> bool {
        let is_in_the_way = |conn: &Conn| reuse != Reuse::Never || !conn.is_idle();
        let own = self.count(|conn| conn.to == to && is_in_the_way(conn));
        let max = self.rules.limits.max_conns_per_address;
        max.is_some_and(|max| own >= max)
    }

    /// "The longest-idle connection of another destination (for a FRESH dial also of its own) is
    /// closed to make room."
    fn held_by_conns(&self, to: usize, reuse: Reuse) -> bool {
        let to_evict = self.longest_idle(|conn| conn.to != to || reuse == Reuse::Never);
        self.is_full() && to_evict.is_none()
    }

    fn held_by_turn(&self, to: usize) -> bool {
        let max = self.rules.limits.max_dials_per_address;
        max.is_some_and(|max| self.dialing_to(to) >= max)
    }

    /// The contract does not say which limit is named where two hold.
    pub(super) fn held(&self, to: usize, reuse: Reuse) -> Option<HeldBy> {
        if self.held_by_conns_per_address(to, reuse) {
            Some(HeldBy::ConnsPerAddress)
        } else if self.held_by_conns(to, reuse) {
            Some(HeldBy::Conns)
        } else {
            self.held_by_turn(to).then_some(HeldBy::Turn)
        }
    }

    /// What is in the way of one more for which nothing is to be closed.
    fn held_or_full(&self, to: usize) -> Option<HeldBy> {
        if self.is_full() {
            return Some(HeldBy::Conns);
        }
        self.held(to, Reuse::Allowed)
    }

    /// Of the whole pool, or of the destination where the limit is one per address. Who asks is not
    /// counted among those who wait, unless it does.
    fn numbers(&self, held: Option<HeldBy>, to: usize, asks: Option<u64>) -> LimitReached {
        let limits = &self.rules.limits;
        let limit = held.map(|held| {
            let (name, max) = match held {
                HeldBy::ConnsPerAddress => ("max_conns_per_address", limits.max_conns_per_address),
                HeldBy::Conns => ("max_conns", limits.max_conns),
                HeldBy::Turn => ("max_dials_per_address", limits.max_dials_per_address),
            };
            (name, max.expect("it holds somebody"))
        });
        let is_of_all = held == Some(HeldBy::Conns);
        let count = |is_so: fn(&Conn) -> bool| {
            self.count(|conn| (is_of_all || conn.to == to) && is_so(conn))
        };
        let waiting = self.waiting().map(|waiter| waiter.call);
        let waiting = waiting.filter(|call| asks != Some(call.ticket));
        LimitReached {
            limit,
            idle: count(Conn::is_idle),
            borrowed: count(Conn::is_borrowed),
            dialing: count(Conn::is_dialing),
            waiting: waiting.filter(|call| is_of_all || call.to == to).count() as u32,
        }
    }

    fn no_idle_room(&self, to: usize) -> Option<Refusal> {
        let full = |limit, max| Some(Refusal::IdleFull { limit, max });
        let limits = &self.rules.limits;
        match limits.max_idle {
            _ if self.idle_of(to) >= limits.max_idle_per_address => {
                full("max_idle_per_address", limits.max_idle_per_address)
            }
            Some(max) if self.count(Conn::is_idle) >= max => full("max_idle", max),
            _ => None,
        }
    }

    /// Closes what has to go for one more that nothing holds.
    fn make_room(&mut self, to: usize, reuse: Reuse) {
        let max = self.rules.limits.max_conns_per_address;
        while max.is_some_and(|max| self.count(|conn| conn.to == to) >= max) {
            let own = self.longest_idle(|conn| conn.to == to && reuse == Reuse::Never);
            self.close(own.expect("nothing holds it"), CloseCause::Evicted);
        }
        while self.is_full() {
            let any = self.longest_idle(|conn| conn.to != to || reuse == Reuse::Never);
            self.close(any.expect("nothing holds it"), CloseCause::Evicted);
        }
    }

    /// "After a failed dial, dials to that destination fail at once."
    fn failing(&self, to: usize) -> Option<Refusal> {
        let failure = self.failures[to].as_ref()?;
        let fails = failure.probe.is_some() || self.now < failure.until;
        fails.then(|| Refusal::FailedBefore(Arc::new(failure.error.clone())))
    }

    fn begin_dial(&mut self, to: usize, reuse: Reuse) -> Answer {
        self.make_room(to, reuse);
        let id = self.next_id();
        self.conns
            .push(Conn::new(id, to, SlotId::Dialing, Time::NEVER));
        let failure = self.failures[to].as_mut();
        let is_probe = failure.is_some();
        if let Some(failure) = failure {
            failure.probe = Some(id);
        }
        Answer::Dial { id, is_probe }
    }

    /// Off the list of dials. Returns what its caller was answered with and never fetched.
    fn end_dial(&mut self, id: u64) -> Option<u64> {
        let to = self.find(id).to;
        if let Some(failure) = &mut self.failures[to] {
            failure.probe = failure.probe.filter(|&probe| probe != id);
        }
        let at = self.flights.iter().position(|flight| flight.id == id)?;
        self.flights.remove(at).answer
    }
}
