//! What is done to a pool in one test: its options and a sequence of steps, drawn from a seed.
//!
//! A step names whom it concerns by a number that counts around those there are at that moment, so
//! that a sequence keeps its meaning when steps are taken out of it. `world` does them.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::reference::{Late, Rules, DESTINATIONS};
use crate::pool::state::answer::{Disposition, LateBinding, Reuse};
use crate::pool::state::counters::CloseCause;
use crate::values::options::{Keeping, Limits, ReuseOrder};

/// The longest sequence.
const MOST_STEPS: u64 = 60;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Take {
        to: usize,
        reuse: Reuse,
        may_wait: bool,
    },
    /// One who waits looks for its answer.
    WakeUp(u8, Late),
    /// Canceled.
    Leave(u8),
    TakeAnother {
        who: u8,
        cause: CloseCause,
        distrusts_idle: bool,
    },
    GiveBack {
        who: u8,
        disposition: Disposition,
        has_data: bool,
        is_disarmed: bool,
    },
    Forget(u8),
    /// In somebody's hands, and seen to be dead, or aborted.
    Mark(u8, CloseCause),
    /// So many of those that its caller is offered are unfit.
    DialBegins {
        which: u8,
        takes: LateBinding,
        unfit: u8,
    },
    FetchAnswer {
        which: u8,
        unfit: u8,
        /// The dial, for nobody; else it is given up.
        goes_on: bool,
    },
    /// The connection's lifetime is so many percent of the longest.
    Dialed(u8, Percent),
    DialFailed(u8, Blame),
    Put {
        to: usize,
        percent: Percent,
        can_be_built: bool,
    },
    Get(usize),
    /// A dial for the shelf, if fewer than so many are idle.
    Warm(usize, u32),
    /// The watch looks at one that is idle.
    Notice(u8, Option<CloseCause>),
    /// The watch looks at one that is not idle any more.
    NoticeLate(u8),
    Pass(Duration),
    Reap,
    CloseIdle,
    /// What is idle at a destination's address, or (`None`) everywhere.
    Evict(Option<usize>),
    CloseLongestIdle,
    End,
    /// Somebody waits for what is borrowed, once the pool has ended.
    AwaitHome,
    /// One that stands where it may be borrowed without the state.
    QuickBorrow(u8),
    /// By one who has borrowed so.
    QuickReturn {
        who: u8,
        has_data: bool,
        /// Between its look at the clock and the exchange.
        held_up: Duration,
    },
    /// One who has borrowed so finds it unfit.
    QuickUnfit(u8),
    /// Somebody asks for exact numbers: of a destination's idle ones, or (`None`) of everything.
    Count(Option<usize>),
    /// New limits, and how long connections are kept: `NewLimits` draws them.
    SetLimits(NewLimits),
    /// on_idle is asked about those whose time has come.
    Ask,
    /// It has returned.
    EndAsk(u8, Disposition),
}

/// What `set_limits` takes, drawn from a number of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewLimits(u64);

impl NewLimits {
    /// A plain pool stays one: whether the fast path is open to a pool at all is not the state's.
    pub(super) fn of(self, before: &Rules) -> (Limits, Keeping) {
        let mut rules = Dice(self.0).any_rules();
        if before.are_plain() {
            rules.make_plain();
        }
        rules.is_observed = before.is_observed;
        rules.on_idle = before.on_idle;
        rules.leave_max_waiters_if_observed();
        rules.keeping.reuse_order = before.keeping.reuse_order;
        (rules.limits, rules.keeping)
    }
}

/// Whether the destination is to blame.
pub(super) type Blame = bool;
pub(super) type Percent = u32;

/// How often each step comes, in the order of [`Step`].
const WEIGHTS: [u64; 30] = [
    300, 140, 50, 40, 130, 20, 15, 90, 60, 110, 50, 30, 20, 20, 10, 5, 40, 20, 5, 8, 5, 2, 5, 220,
    180, 20, 10, 25, 60, 50,
];
/// Such as have no meaning but in a plain pool.
const FAST_PATH: std::ops::Range<usize> = 23..26;

/// One sequence's habits: sequences that do few things do them often enough to reach far corners
/// (swarm testing, Groce and others 2012).
struct Mood {
    weights: [u64; WEIGHTS.len()],
    destinations: u64,
}

/// SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        Self(dice.next() ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A limit as the options have it: 0 is none.
    fn limit(&mut self, max: u64) -> Option<u32> {
        Some(self.below(max + 1) as u32).filter(|&limit| limit > 0)
    }

    fn ms(&mut self, all: &[u64]) -> Option<Duration> {
        let ms = self.one_of(all);
        (ms > 0).then_some(Duration::from_millis(ms))
    }

    pub(super) fn rules(&mut self) -> Rules {
        let mut rules = self.any_rules();
        if self.chance(50) {
            rules.make_plain();
            // More often several idle ones, whose order loans can change.
            rules.limits.max_idle_per_address = 1 + self.below(3) as u32;
        } else {
            rules.is_observed = self.chance(60);
            rules.leave_max_waiters_if_observed();
        }
        rules
    }

    fn any_rules(&mut self) -> Rules {
        Rules {
            limits: Limits {
                max_idle_per_address: self.below(3) as u32,
                max_idle: self.limit(3),
                max_conns: self.limit(4),
                max_conns_per_address: self.limit(2),
                max_dials_per_address: self.limit(2),
                max_waiters: self.limit(2),
            },
            keeping: Keeping {
                idle_timeout: self.ms(&[0, 0, 100, 600]),
                max_lifetime: self.ms(&[0, 0, 200, 1000]),
                lifetime_jitter_percent: 10,
                max_uses: self.limit(3),
                min_idle_per_address: 0,
                reuse_order: self.one_of(&[ReuseOrder::Lifo, ReuseOrder::Fifo]),
            },
            fail_fast: self.ms(&[0, 100]),
            on_idle: self.ms(&[0, 50, 300]),
            is_observed: false,
        }
    }

    pub(super) fn steps(&mut self, are_plain: bool) -> Vec<Step> {
        let mut mood = Mood {
            weights: WEIGHTS.map(|weight| weight * self.one_of(&[0, 1, 1, 3])),
            destinations: 1 + self.below(DESTINATIONS as u64),
        };
        if !are_plain {
            mood.weights[FAST_PATH].fill(0);
        }
        let count = MOST_STEPS / 3 + self.below(MOST_STEPS * 2 / 3 + 1);
        (0..count).map(|_| self.step(&mood)).collect()
    }

    fn who(&mut self) -> u8 {
        self.next() as u8
    }

    fn kind(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum::<u64>().max(1));
        let is_it = |&weight: &u64| {
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        };
        weights.iter().position(is_it).unwrap_or(0)
    }

    fn step(&mut self, mood: &Mood) -> Step {
        let to = self.below(mood.destinations) as usize;
        let who = self.who();
        match self.kind(&mood.weights) {
            0 => Step::Take {
                to,
                reuse: self.one_of(&[
                    Reuse::Allowed,
                    Reuse::Allowed,
                    Reuse::Allowed,
                    Reuse::Never,
                    Reuse::Only,
                ]),
                may_wait: self.chance(85),
            },
            1 => Step::WakeUp(
                who,
                self.one_of(&[
                    Late::InTime,
                    Late::InTime,
                    Late::ForWaiting,
                    Late::ForDialing,
                ]),
            ),
            2 => Step::Leave(who),
            3 => Step::TakeAnother {
                who,
                cause: self.one_of(&[CloseCause::StaleAtBorrow, CloseCause::DirtyAtBorrow]),
                distrusts_idle: self.chance(40),
            },
            4 => Step::GiveBack {
                who,
                disposition: self.disposition(),
                has_data: self.chance(20),
                is_disarmed: self.chance(50),
            },
            5 => Step::Forget(who),
            6 => Step::Mark(
                who,
                self.one_of(&[CloseCause::PeerClosedAtGiveBack, CloseCause::Discarded]),
            ),
            7 => Step::DialBegins {
                which: who,
                takes: self.one_of(&[
                    LateBinding::Off,
                    LateBinding::GivenBack,
                    LateBinding::Any,
                    LateBinding::Any,
                ]),
                unfit: self.one_of(&[0, 0, 1, 2]),
            },
            8 => Step::FetchAnswer {
                which: who,
                unfit: self.one_of(&[0, 0, 1, 2]),
                goes_on: self.chance(60),
            },
            9 => Step::Dialed(who, self.one_of(&[100, 95, 90])),
            10 => Step::DialFailed(who, self.chance(60)),
            11 => Step::Put {
                to,
                percent: self.one_of(&[100, 90]),
                can_be_built: self.chance(90),
            },
            12 => Step::Get(to),
            13 => Step::Warm(to, 1 + self.below(2) as u32),
            14 => Step::Notice(who, self.found()),
            15 => Step::NoticeLate(who),
            16 => {
                let ms = self.one_of(&[1, 20, 50, 100, 200, 500, 1000]);
                Step::Pass(Duration::from_millis(ms))
            }
            17 => Step::Reap,
            18 => Step::CloseIdle,
            19 => Step::Evict(self.chance(80).then_some(to)),
            20 => Step::CloseLongestIdle,
            21 => Step::End,
            22 => Step::AwaitHome,
            23 => Step::QuickBorrow(who),
            24 => Step::QuickReturn {
                who,
                has_data: self.chance(20),
                held_up: self.ms(&[0, 0, 0, 100, 600]).unwrap_or_default(),
            },
            25 => Step::QuickUnfit(who),
            26 => Step::Count(self.chance(50).then_some(to)),
            27 => Step::SetLimits(NewLimits(self.next())),
            28 => Step::Ask,
            _ => Step::EndAsk(who, self.verdict()),
        }
    }

    fn disposition(&mut self) -> Disposition {
        if self.chance(75) {
            return Disposition::Keep;
        }
        Disposition::Close(self.one_of(&[
            CloseCause::Discarded,
            CloseCause::Failed,
            CloseCause::PeerClosedAtGiveBack,
            CloseCause::MaxUses,
            CloseCause::ForeignFd,
        ]))
    }

    fn verdict(&mut self) -> Disposition {
        if self.chance(80) {
            return Disposition::Keep;
        }
        Disposition::Close(self.one_of(&[CloseCause::Hook, CloseCause::Failed]))
    }

    fn found(&mut self) -> Option<CloseCause> {
        self.one_of(&[
            None,
            Some(CloseCause::PeerClosedWhileIdle),
            Some(CloseCause::DirtyWhileIdle),
        ])
    }
}
