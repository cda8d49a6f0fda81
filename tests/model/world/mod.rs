//! One pool's state and the reference, taken through the same steps; at the first difference the
//! sequence has failed.
#![forbid(unsafe_code)]

mod callers;
mod conns;
mod dials;
mod fast_path;
mod idle_checks;

use std::rc::Rc;
use std::time::Duration;

use self::callers::Caller;
use self::conns::Borrower;
use self::dials::Dial;
use super::check::Counts;
use super::destinations::Destinations;
use super::fake::{Facts, Fake};
use super::reference::{Reference, Rules};
use super::steps::{NewLimits, Percent, Step};
use crate::pool::state::answer::Untold;
use crate::pool::state::answer::{Disposition, Effects};
use crate::pool::state::closing::unfinished::Unfinished;
use crate::pool::state::idle_checks::Check;
use crate::pool::state::State;
use crate::values::clock::Time;

/// What is wrong.
pub(super) type Wrong = String;

/// Fails where the two sides differ.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    is: T,
    should_be: T,
) -> Result<(), Wrong> {
    if is == should_be {
        Ok(())
    } else {
        Err(format!("{what}: {is:?}, should be {should_be:?}"))
    }
}

/// See the module.
pub(super) struct World<'a> {
    pub(super) destinations: &'a Destinations,
    pub(super) rules: Rules,
    pub(super) state: State<Fake>,
    pub(super) reference: Reference,
    pub(super) now: Time,
    effects: Effects<Fake>,
    /// After the step before.
    pub(super) before: Counts,
    /// Callers and other wakers so far.
    wakers: u64,
    waiting: Vec<Caller>,
    dials: Vec<Dial>,
    borrowers: Vec<Borrower>,
    /// What on_idle is asked about, by one checker each.
    asked: Vec<(Fake, Check)>,
    /// Every connection that the pool has ever had.
    pub(super) conns: Vec<Rc<Facts>>,
}

/// Counts around.
fn pick<T>(all: &[T], which: u8) -> Option<usize> {
    (!all.is_empty()).then(|| usize::from(which) % all.len())
}

impl<'a> World<'a> {
    pub(super) fn new(rules: &Rules, destinations: &'a Destinations) -> Self {
        let now = Time::default().after(Duration::from_secs(10));
        Self {
            destinations,
            rules: rules.clone(),
            state: Self::state(rules),
            reference: Reference::new(rules.clone(), now),
            now,
            effects: Effects::none(),
            before: Counts::default(),
            wakers: 0,
            waiting: Vec::new(),
            dials: Vec::new(),
            borrowers: Vec::new(),
            asked: Vec::new(),
            conns: Vec::new(),
        }
    }

    fn state(rules: &Rules) -> State<Fake> {
        let state = State::new(rules.limits.clone(), rules.keeping.clone(), rules.fail_fast)
            .checking_every(rules.on_idle);
        if rules.is_observed {
            state.observed()
        } else {
            state
        }
    }

    /// Every event is told at once: then what is freed in two steps is free as if it were in one,
    /// and the reference needs no second truth.
    fn tell(&mut self) {
        while let Some(untold) = self.next_untold() {
            self.state.told(untold, self.now, &mut self.effects);
        }
        while let Some(&ticket) = self.state.queue.untold.first() {
            self.state.wait_told(ticket);
        }
    }

    fn next_untold(&mut self) -> Option<Untold> {
        let mut closes = self.effects.closes.iter_mut();
        closes.find_map(|closed| closed.untold.take())
    }

    fn tell_end_of_dial(&mut self, untold: Option<Untold>) {
        if let Some(untold) = untold {
            self.state.told(untold, self.now, &mut self.effects);
        }
    }

    /// One step on both sides. A step that finds nobody to concern is none.
    pub(super) fn step(&mut self, step: Step) -> Result<(), Wrong> {
        self.make(step)?;
        self.tell();
        self.compare_effects()?;
        self.check()?;
        self.before = Counts::of(&self.reference);
        Ok(())
    }

    fn make(&mut self, step: Step) -> Result<(), Wrong> {
        match step {
            Step::Take {
                to,
                reuse,
                may_wait,
            } => self.take(to, reuse, may_wait),
            Step::WakeUp(who, late) => self.wake_up(who, late),
            Step::Leave(who) => self.leave(who),
            Step::TakeAnother {
                who,
                cause,
                distrusts_idle,
            } => self.take_another(who, cause, distrusts_idle),
            Step::DialBegins {
                which,
                takes,
                unfit,
            } => self.start_dial(which, takes, unfit),
            Step::FetchAnswer {
                which,
                unfit,
                goes_on,
            } => self.fetch_answer(which, unfit, goes_on),
            Step::Dialed(which, percent) => self.dialed(which, percent),
            Step::DialFailed(which, blame) => self.dial_failed(which, blame),
            Step::GiveBack {
                who,
                disposition,
                has_data,
                is_disarmed,
            } => self.give_back(who, disposition, has_data, is_disarmed),
            Step::Forget(who) => self.forget(who),
            Step::Mark(who, cause) => {
                self.mark(who, cause);
                Ok(())
            }
            Step::Put {
                to,
                percent,
                can_be_built,
            } => self.put(to, percent, can_be_built),
            Step::Get(to) => self.get(to),
            Step::Warm(to, wanted) => self.warm(to, wanted),
            Step::Notice(which, found) => self.notice(which, found),
            Step::NoticeLate(which) => self.notice_late(which),
            Step::Pass(time) => {
                self.pass(time);
                Ok(())
            }
            Step::Reap => self.reap(),
            Step::CloseIdle => self.close_idle(),
            Step::Evict(to) => self.evict(to),
            Step::CloseLongestIdle => self.close_longest_idle(),
            Step::End => {
                self.in_parts(|state, now, effects| state.close(now, effects));
                self.reference.end();
                // Everybody is told, in whatever order.
                self.effects.wakes.sort_unstable();
                self.reference.wakes.sort_unstable();
                Ok(())
            }
            Step::AwaitHome => self.wait_until_returned(),
            Step::QuickBorrow(which) => self.borrow_quickly(which),
            Step::QuickReturn {
                who,
                has_data,
                held_up,
            } => self.return_quickly(who, has_data, held_up),
            Step::QuickUnfit(who) => {
                self.find_unfit_quickly(who);
                Ok(())
            }
            Step::Count(to) => self.count(to),
            Step::SetLimits(new) => {
                self.set_limits(new);
                Ok(())
            }
            Step::Ask => self.ask(),
            Step::EndAsk(who, disposition) => self.end_ask(who, disposition),
        }
    }

    fn set_limits(&mut self, new: NewLimits) {
        let (limits, keeping) = new.of(&self.rules);
        self.rules.limits = limits.clone();
        self.rules.keeping = keeping.clone();
        self.reference.set_limits(&limits, &keeping);
        self.in_parts(|state, now, effects| state.set_limits(limits, keeping, now, effects));
    }

    /// A change that may have more effects than one transition has: here they are few.
    fn in_parts(
        &mut self,
        change: impl FnOnce(&mut State<Fake>, Time, &mut Effects<Fake>) -> Unfinished,
    ) {
        const FEW: usize = 1;
        let mut part = Effects::at_most(FEW);
        let mut unfinished = change(&mut self.state, self.now, &mut part);
        loop {
            self.effects.closes.append(&mut part.closes);
            self.effects.wakes.append(&mut part.wakes);
            if unfinished.is_nothing() && !std::mem::take(&mut part.leaves_waiters) {
                return;
            }
            self.state.go_on(&mut unfinished, self.now, &mut part);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.reference.now = self.now;
    }

    /// Everybody goes home: half of those who wait are canceled, the others fetch what they get as
    /// long as they get anything.
    pub(super) fn tidy_up(&mut self) -> Result<(), Wrong> {
        let mut round = 0;
        while !self.has_everybody_left() {
            let who = round as u8;
            self.step(if round % 2 == 0 {
                Step::Leave(who)
            } else {
                Step::WakeUp(who, super::reference::Late::InTime)
            })?;
            self.step(Step::DialFailed(who, false))?;
            self.step(Step::GiveBack {
                who,
                disposition: Disposition::Keep,
                has_data: false,
                is_disarmed: true,
            })?;
            self.step(Step::EndAsk(who, Disposition::Keep))?;
            round += 1;
        }
        self.step(Step::CloseIdle)?;
        self.check_everything_is_gone()?;
        self.check_empty()
    }

    fn has_everybody_left(&self) -> bool {
        self.waiting.is_empty()
            && self.dials.is_empty()
            && self.borrowers.is_empty()
            && self.asked.is_empty()
    }

    /// No connection is lost: each has left the pool, once.
    fn check_everything_is_gone(&self) -> Result<(), Wrong> {
        match self.conns.iter().find(|conn| !conn.is_gone.get()) {
            Some(conn) => Err(format!("connection {} is lost", conn.id)),
            None => Ok(()),
        }
    }

    fn lifetime(&self, percent: Percent) -> Time {
        let longest = self.rules.keeping.max_lifetime;
        longest.map_or(Time::NEVER, |longest| {
            self.now.after(longest * percent / 100)
        })
    }

    /// As the pool does before it takes anything.
    fn reserve_one(&mut self) {
        self.state.try_reserve_one().expect("there is memory");
    }

    fn new_waker(&mut self) -> u64 {
        self.wakers += 1;
        self.wakers
    }

    fn compare_effects(&mut self) -> Result<(), Wrong> {
        let closes = self.effects.closes.drain(..);
        let mut is: Vec<_> = closes.map(|one| (one.conn.id, one.cause)).collect();
        let mut should_be = std::mem::take(&mut self.reference.closes);
        is.sort_unstable_by_key(|one| one.0);
        should_be.sort_unstable_by_key(|one| one.0);
        same("closed", is, should_be)?;
        if self.rules.is_observed {
            // A slot that is told first comes later than what is handed over in the same step.
            self.effects.wakes.sort_unstable();
            self.reference.wakes.sort_unstable();
        }
        same(
            "answered in this order",
            std::mem::take(&mut self.effects.wakes),
            std::mem::take(&mut self.reference.wakes),
        )
    }
}
