//! What vcp_pool_set_limits may change, as it is read without the pool's lock.
//!
//! There are two copies: the current one, and the one that the next change is written to. A reader
//! that was overtaken by two changes reads again; a forked child finds the current copy whole,
//! whatever another thread of its parent was writing at the fork. `State` has its own copy, under
//! the lock.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::sync::atomic::{
    fence, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::values::options::{Adjustable, Keeping, Limits, ReuseOrder};

const WORDS: usize = 13;
/// Words that every borrow or give-back by the slow path looks at.
const MAX_IDLE_PER_ADDRESS: usize = 0;
const MIN_IDLE_PER_ADDRESS: usize = 10;
const WAIT_TIMEOUT: usize = 12;

type Words = [u64; WORDS];

/// The pool's [`Adjustable`]. Written under the state's lock, read by anybody.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How often they were changed; its last bit says which copy is current.
    version: AtomicU64,
    copies: [[AtomicU64; WORDS]; 2],
}

impl Settings {
    pub(crate) fn new(settings: &Adjustable) -> Self {
        let copy = || words_of(settings).map(AtomicU64::new);
        Self {
            version: AtomicU64::new(0),
            copies: [copy(), copy()],
        }
    }

    pub(crate) fn get(&self) -> Adjustable {
        loop {
            let version = self.version.load(Acquire);
            let words = self.copies[version as usize & 1].each_ref();
            let words = words.map(|word| word.load(Relaxed));
            // Pairs with the fence in `set`: whoever sees a word of a later change sees its
            // version.
            fence(Acquire);
            if self.version.load(Relaxed) == version {
                return of_words(&words);
            }
        }
    }

    /// One word by itself: it is one that was set, so there is nothing to compare.
    fn word(&self, at: usize) -> u64 {
        let version = self.version.load(Acquire);
        self.copies[version as usize & 1][at].load(Relaxed)
    }

    pub(crate) fn max_idle_per_address(&self) -> u32 {
        self.word(MAX_IDLE_PER_ADDRESS) as u32
    }

    pub(crate) fn min_idle_per_address(&self) -> u32 {
        self.word(MIN_IDLE_PER_ADDRESS) as u32
    }

    pub(crate) fn wait_timeout(&self) -> Option<Duration> {
        time_of(self.word(WAIT_TIMEOUT))
    }

    /// By one thread at a time: under the state's lock.
    pub(crate) fn set(&self, settings: &Adjustable) {
        let next = self.version.load(Relaxed) + 1;
        fence(Release);
        let copy = &self.copies[next as usize & 1];
        for (word, value) in copy.iter().zip(words_of(settings)) {
            word.store(value, Relaxed);
        }
        self.version.store(next, Release);
    }
}

const NONE: u64 = u64::MAX;

/// Times come in whole milliseconds.
fn time_word(time: Option<Duration>) -> u64 {
    time.map_or(NONE, |time| {
        u64::try_from(time.as_millis()).unwrap_or(NONE - 1)
    })
}

fn time_of(word: u64) -> Option<Duration> {
    (word != NONE).then(|| Duration::from_millis(word))
}

fn count_word(count: Option<u32>) -> u64 {
    count.map_or(NONE, u64::from)
}

fn count_of(word: u64) -> Option<u32> {
    (word != NONE).then_some(word as u32)
}

fn words_of(settings: &Adjustable) -> Words {
    let Adjustable {
        limits,
        keeping,
        wait_timeout,
    } = settings;
    [
        limits.max_idle_per_address.into(),
        count_word(limits.max_idle),
        count_word(limits.max_conns),
        count_word(limits.max_conns_per_address),
        count_word(limits.max_dials_per_address),
        count_word(limits.max_waiters),
        time_word(keeping.idle_timeout),
        time_word(keeping.max_lifetime),
        keeping.lifetime_jitter_percent.into(),
        count_word(keeping.max_uses),
        keeping.min_idle_per_address.into(),
        (keeping.reuse_order == ReuseOrder::Fifo).into(),
        time_word(*wait_timeout),
    ]
}

fn of_words(words: &Words) -> Adjustable {
    Adjustable {
        limits: Limits {
            max_idle_per_address: words[MAX_IDLE_PER_ADDRESS] as u32,
            max_idle: count_of(words[1]),
            max_conns: count_of(words[2]),
            max_conns_per_address: count_of(words[3]),
            max_dials_per_address: count_of(words[4]),
            max_waiters: count_of(words[5]),
        },
        keeping: Keeping {
            idle_timeout: time_of(words[6]),
            max_lifetime: time_of(words[7]),
            lifetime_jitter_percent: words[8] as u32,
            max_uses: count_of(words[9]),
            min_idle_per_address: words[MIN_IDLE_PER_ADDRESS] as u32,
            reuse_order: if words[11] == 0 {
                ReuseOrder::Lifo
            } else {
                ReuseOrder::Fifo
            },
        },
        wait_timeout: time_of(words[WAIT_TIMEOUT]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u32) -> Adjustable {
        let count = |at| Some(number + at);
        let time = |at| Some(Duration::from_millis(u64::from(number + at)));
        Adjustable {
            limits: Limits {
                max_idle_per_address: number,
                max_idle: count(1),
                max_conns: None,
                max_conns_per_address: count(3),
                max_dials_per_address: count(4),
                max_waiters: count(5),
            },
            keeping: Keeping {
                idle_timeout: time(6),
                max_lifetime: None,
                lifetime_jitter_percent: number + 8,
                max_uses: count(9),
                min_idle_per_address: number + 10,
                reuse_order: ReuseOrder::Fifo,
            },
            wait_timeout: time(12),
        }
    }

    #[test]
    fn what_was_set_is_what_is_read() {
        let settings = Settings::new(&numbered(0));
        for number in 0..5 {
            settings.set(&numbered(number));
            assert_eq!(settings.get(), numbered(number));
            assert_eq!(settings.max_idle_per_address(), number);
            assert_eq!(settings.min_idle_per_address(), number + 10);
            assert_eq!(settings.wait_timeout(), numbered(number).wait_timeout);
        }
    }

    #[test]
    fn a_reader_never_sees_a_part_of_a_change() {
        let settings = Settings::new(&numbered(0));
        std::thread::scope(|scope| {
            scope.spawn(|| (0..10_000).for_each(|number| settings.set(&numbered(number))));
            for _ in 0..10_000 {
                let seen = settings.get();
                assert_eq!(seen, numbered(seen.limits.max_idle_per_address));
            }
        });
    }
}
