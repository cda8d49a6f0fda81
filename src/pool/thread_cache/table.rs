//! One thread's hints, by key: a table of numbers, each with some bits of its hint's hash, and the hints behind it, so that a look at what
//! is not there touches one cache line, and one at what is there two or three.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use super::key::{Key, Named, Words};
use crate::handle::{Kept, Owned, Trace};
use crate::pool::conn::Conn;
use crate::pool::PoolHandle;
use crate::sync::Arc;
use crate::values::destination::Destination;

/// The table begins with so many spots, and doubles while the hints are no more than these.
const FIRST: usize = 16;
const MOST: usize = 1 << 16;
/// As soon as there are so many spots for each hint it does not grow any more.
const MOST_SPOTS_EACH: usize = 4;
/// Where a hint may be found: at the spot of its hash, or at one of the next. Of a table that is half full few are further away.
const REACH: usize = 32;
/// A thread that has more connections out at once does not find the oldest of them first when it has given them back.
const MOST_LENT: usize = 256;

/// What a thread knows of one key. What a hit looks at stands first.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Hint {
    pool: usize,
    /// Where the connection is that it used last.
    pub(crate) trace: Option<Trace<Conn>>,
    text: Words,
    hash: u64,
    pub(super) destination: Arc<Destination>,
}

impl Hint {
    #[inline(always)]
    fn is(&self, key: &Key<'_>) -> bool {
        self.pool == key.pool && self.text.is(key)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Spot {
    /// The hint's number + 1; 0: there is none.
    hint: u32,
    hash: u32,
    /// Of the connection that it led to when it was listed: its slot is fetched while the hint is read.
    seat: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hints {
    spots: Vec<Spot>,
    hints: Vec<Hint>,
    /// Whose they are: the end of another pool is no reason to look through them.
    pools: Vec<usize>,
    /// The one that was asked for last: most threads dial the same again.
    last: usize,
    /// Drawn for this thread, so that nobody can make the hashes of addresses fall together.
    seed: u64,
    /// Of so many pools it has seen the end.
    seen: u32,
    /// The connections that the thread borrowed last and has not given back, each with the number of its hint.
    lent: VecDeque<(u32, usize)>,
}

impl Hints {
    pub(super) const NONE: Self = Self {
        spots: Vec::new(),
        hints: Vec::new(),
        pools: Vec::new(),
        last: 0,
        seed: 0,
        seen: 0,
        lent: VecDeque::new(),
    };

    #[inline(always)]
    pub(crate) fn find(&mut self, key: &Key<'_>) -> Option<&mut Hint> {
        if !self.hints.get(self.last).is_some_and(|hint| hint.is(key)) {
            self.last = self.look_up(key.hash(self.seed), |hint| hint.is(key))?;
        }
        self.hints.get_mut(self.last)
    }

    /// The spots of that hash.
    fn spots(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.spots.len().wrapping_sub(1);
        let first = hash as usize;
        (0..REACH.min(self.spots.len())).map(move |step| first.wrapping_add(step) & mask)
    }

    #[inline(never)]
    fn look_up(&self, hash: u64, is_it: impl Fn(&Hint) -> bool) -> Option<usize> {
        let bits = (hash >> 32) as u32;
        for at in self.spots(hash) {
            let spot = self.spots[at];
            let hint = (spot.hint as usize).checked_sub(1)?;
            if spot.hash == bits {
                Conn::table().is_wanted(spot.seat);
                if is_it(self.hints.get(hint)?) {
                    return Some(hint);
                }
            }
        }
        None
    }

    /// Keeps where a connection of that name will be; what stood there before.
    pub(super) fn keep(
        &mut self,
        name: Named,
        conn: &Owned<Conn>,
        trace: Option<Trace<Conn>>,
    ) -> Option<Trace<Conn>> {
        let hash = name.hash(self.drawn_seed());
        let Named { pool, text } = name;
        let is_it = |hint: &Hint| hint.pool == pool && hint.text == text;
        if let Some(at) = self.look_up(hash, is_it) {
            self.last = at;
            let hint = &mut self.hints[at];
            // The destination may have gone and come again.
            if !Arc::ptr_eq(&hint.destination, conn.shared_destination()) {
                hint.destination = conn.shared_destination().clone();
            }
            return std::mem::replace(&mut hint.trace, trace);
        }
        self.add(Hint {
            pool,
            trace,
            text,
            hash,
            destination: conn.shared_destination().clone(),
        });
        None
    }

    fn drawn_seed(&mut self) -> u64 {
        if self.seed == 0 {
            self.seed = RandomState::new().hash_one(0) | 1;
        }
        self.seed
    }

    fn add(&mut self, hint: Hint) {
        if self.hints.len() >= MOST {
            // A thread that dials more begins anew.
            self.let_go(|_| false);
        }
        if !self.pools.contains(&hint.pool) {
            self.pools.push(hint.pool);
        }
        self.hints.push(hint);
        let at = self.hints.len() - 1;
        if self.list(at) || self.grow() {
            self.last = at;
        } else {
            // Too many of the same hash: this one is not known.
            self.hints.pop();
        }
    }

    /// False if there is no spot.
    fn list(&mut self, at: usize) -> bool {
        let hash = self.hints[at].hash;
        let Some(free) = self.spots(hash).find(|&spot| self.spots[spot].hint == 0) else {
            return false;
        };
        self.spots[free] = Spot {
            hint: (at + 1) as u32,
            hash: (hash >> 32) as u32,
            seat: self.hints[at].trace.map_or(0, |trace| trace.seat()),
        };
        true
    }

    /// Until each has a spot; false if so many are of one hash that the table would be almost empty.
    fn grow(&mut self) -> bool {
        let mut size = self.spots.len();
        while size < MOST_SPOTS_EACH * self.hints.len().max(FIRST) {
            size = (size * 2).max(FIRST);
            self.spots = vec![Spot::default(); size];
            if (0..self.hints.len()).all(|at| self.list(at)) {
                return true;
            }
        }
        false
    }

    pub(super) fn lends(&mut self, seat: u32) {
        if self.lent.len() >= MOST_LENT {
            self.lent.pop_front();
        }
        self.lent.push_back((seat, self.last));
    }

    /// The hint of one that it lent.
    pub(super) fn takes_back(&mut self, seat: u32) -> Option<&mut Hint> {
        let at = self.lent.iter().rposition(|&(one, _)| one == seat)?;
        let (_, hint) = self.lent.remove(at)?;
        self.hints.get_mut(hint)
    }

    /// Lets go of what belongs to pools that have ended, if more have since the last time.
    pub(super) fn sweep(&mut self, ended: u32) {
        if self.seen == ended {
            return;
        }
        self.seen = ended;
        let before = self.pools.len();
        self.pools
            .retain(|&pool| PoolHandle::table().pin(pool).is_ok());
        if self.pools.len() < before {
            let pools = std::mem::take(&mut self.pools);
            self.let_go(|hint| pools.contains(&hint.pool));
            self.pools = pools;
        }
    }

    fn let_go(&mut self, stays: impl Fn(&Hint) -> bool) {
        let before = self.hints.len();
        self.hints.retain(stays);
        if self.hints.is_empty() {
            let Self { seed, seen, .. } = *self;
            *self = Self {
                seed,
                seen,
                ..Self::NONE
            };
        } else if self.hints.len() < before {
            self.lent = VecDeque::new();
            self.hints.shrink_to_fit();
            self.spots = Vec::new();
            self.grow();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::resolve::names::SystemNames;
    use crate::sys::foreign::text::Text;
    use crate::values::address::Address;

    fn key(pool: usize, address: &str) -> Key<'_> {
        Key {
            pool,
            network: Text::of(c"tcp"),
            address: address.as_bytes(),
            tag: None,
        }
    }

    fn hint(pool: usize, address: &str, hash: u64) -> Hint {
        let parsed = Address::parse("tcp", address, &SystemNames::new());
        Hint {
            pool,
            trace: None,
            text: Words::new(&key(pool, address)).expect("short"),
            hash,
            destination: Arc::new(Destination::new(parsed.expect("a literal"), "")),
        }
    }

    fn addresses(count: u32) -> impl Iterator<Item = String> {
        (0..count).map(|i| format!("127.0.{}.{}:80", i >> 8, i & 255))
    }

    #[test]
    fn each_is_found_and_no_other() {
        let mut hints = Hints::NONE;
        for address in addresses(5000) {
            assert!(hints.find(&key(7, &address)).is_none());
            let hash = key(7, &address).hash(hints.drawn_seed());
            hints.add(hint(7, &address, hash));
        }
        for address in addresses(5000) {
            let found = hints.find(&key(7, &address)).expect("kept");
            assert_eq!(&*found.destination.address.text, address);
            assert!(hints.find(&key(8, &address)).is_none());
        }
        assert!(hints.spots.len() <= 2 * MOST_SPOTS_EACH * 5000);
        hints.let_go(|hint| hint.destination.address.text.contains(".1."));
        for address in addresses(5000) {
            let is_kept = address.contains(".1.");
            assert_eq!(hints.find(&key(7, &address)).is_some(), is_kept);
        }
        hints.let_go(|_| false);
        assert_eq!((hints.hints.capacity(), hints.spots.capacity()), (0, 0));
    }

    #[test]
    fn many_of_one_hash_cost_no_more_than_a_few() {
        let mut hints = Hints::NONE;
        for address in addresses(100) {
            hints.add(hint(7, &address, 5));
        }
        assert_eq!(hints.hints.len(), REACH);
        assert!(hints.spots.len() <= 2 * MOST_SPOTS_EACH * REACH);
    }

    #[test]
    fn the_hint_of_what_was_lent_is_known_when_it_comes_back() {
        let mut hints = Hints::NONE;
        for (at, address) in addresses(3).enumerate() {
            let hash = key(7, &address).hash(hints.drawn_seed());
            hints.add(hint(7, &address, hash));
            hints.lends(at as u32);
        }
        let back = hints.takes_back(1).expect("lent");
        assert_eq!(&*back.destination.address.text, "127.0.0.1:80");
        assert!(hints.takes_back(1).is_none());
        for seat in 0..2 * MOST_LENT as u32 {
            hints.lends(seat);
        }
        assert_eq!(hints.lent.len(), MOST_LENT);
    }
}
