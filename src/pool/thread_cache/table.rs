//! One thread's cache: a hash table of numbers, and the entries behind it in the order in which
//! they came, so that a look at what is not there touches one cache line, and one at what is there
//! two or three. The oldest entry makes room for a new one when there are as many as there may be.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

use super::key::{KeyRef, OwnedKey};
use crate::handle::{CachedSlot, Kept, Owned, SlotId};
use crate::pool::conn::Conn;
use crate::pool::PoolHandle;

/// A cache of its own takes at most 2 MiB: entries of 128 bytes, a table of 32,768 buckets of 8,
/// and the pools. The destinations are shared with the pools that know them.
const MOST_ENTRIES: usize = 13_000;
/// The table has at least so many buckets, and twice as many as entries: then linear probing ends
/// after two or three of them.
const FEWEST_BUCKETS: usize = 32;
/// An entry stands so many buckets behind that of its hash at most. Of a seeded hash none has to
/// stand further away (1 in 10^5 at half load); of an adversary's, those are not remembered.
const LONGEST_PROBE: usize = 128;
/// A thread that has more connections out at once does not find the oldest of them first when it
/// has given them back.
const MOST_LENT: usize = 32;

/// More are not told apart when a pool ends.
const MOST_POOLS: usize = 64;

const _: () = assert!(size_of::<CacheEntry>() == 128);
const _: () = assert!(MOST_ENTRIES * 128 + 32_768 * 8 + (32 << 10) < 2 << 20);

/// What a thread knows of one key.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct CacheEntry {
    key: OwnedKey,
    /// The connection that it used last, if the fast path may borrow that.
    pub(crate) cached: Option<CachedSlot<Conn>>,
    /// The connection that it used last, which knows the destination that the key means.
    pub(super) conn: SlotId,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The entry's number + 1; 0: there is none.
    entry: u32,
    hash: u32,
}

/// What one thread has dialed lately.
#[derive(Debug)]
pub(crate) struct ThreadCache {
    buckets: Vec<Bucket>,
    entries: Vec<CacheEntry>,
    /// The one that was asked for last: most threads dial the same again.
    last: usize,
    /// The one that makes room for the next when there are [`MOST_ENTRIES`].
    oldest: usize,
    /// Drawn for this thread, so that nobody can make the hashes of addresses fall together.
    seed: u64,
    /// Whose they are, unless they are too many: the end of another pool is no reason to look
    /// through all entries.
    pools: Vec<usize>,
    /// Of so many pools it has seen the end.
    seen: u32,
    /// Connections that the thread borrowed, each with the number of its entry; the newest
    /// overwrites the oldest.
    lent: [Option<(SlotId, u32)>; MOST_LENT],
    lent_so_far: usize,
}

impl ThreadCache {
    pub(super) const EMPTY: Self = Self {
        buckets: Vec::new(),
        entries: Vec::new(),
        last: 0,
        oldest: 0,
        seed: 0,
        pools: Vec::new(),
        seen: 0,
        lent: [None; MOST_LENT],
        lent_so_far: 0,
    };

    #[inline(always)]
    pub(crate) fn find(&mut self, key: &KeyRef<'_>) -> Option<&mut CacheEntry> {
        match self.entries.get(self.last) {
            Some(last) if last.key.is(key) => {}
            _ => self.last = self.look_up(*key)?,
        }
        self.entries.get_mut(self.last)
    }

    /// By value: so the key is put into memory for this call alone.
    #[inline(never)]
    fn look_up(&self, key: KeyRef<'_>) -> Option<usize> {
        self.number_of(key.hash(self.seed), |entry| entry.key.is(&key))
    }

    #[inline(always)]
    fn number_of(&self, hash: u32, is_it: impl Fn(&CacheEntry) -> bool) -> Option<usize> {
        for at in self.probe(hash) {
            let bucket = self.buckets[at];
            let number = (bucket.entry as usize).checked_sub(1)?;
            if bucket.hash == hash && is_it(self.entries.get(number)?) {
                return Some(number);
            }
        }
        None
    }

    /// The buckets in which an entry of that hash may be.
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.buckets.len().wrapping_sub(1);
        let first = hash as usize;
        let steps = LONGEST_PROBE.min(self.buckets.len());
        (0..steps).map(move |step| first.wrapping_add(step) & mask)
    }

    /// Remembers where a connection of that key will be; returns the one that this replaces.
    pub(super) fn remember(
        &mut self,
        key: OwnedKey,
        conn: &Owned<Conn>,
        cached: Option<CachedSlot<Conn>>,
    ) -> Option<CachedSlot<Conn>> {
        let conn = conn.slot_id();
        let hash = key.hash(self.drawn_seed());
        let Some(at) = self.number_of(hash, |entry| entry.key == key) else {
            let entry = CacheEntry { key, cached, conn };
            return self.add(hash, entry)?.cached;
        };
        self.last = at;
        if self.entries[at].cached.is_some() {
            // It is out, perhaps.
            self.lend(self.entries[at].conn);
        }
        let entry = &mut self.entries[at];
        entry.conn = conn;
        std::mem::replace(&mut entry.cached, cached)
    }

    fn drawn_seed(&mut self) -> u64 {
        if self.seed == 0 {
            self.seed = RandomState::new().hash_one(0) | 1;
        }
        self.seed
    }

    /// Returns the entry that made room for it.
    fn add(&mut self, hash: u32, entry: CacheEntry) -> Option<CacheEntry> {
        if self.pools.len() <= MOST_POOLS && !self.pools.contains(&entry.key.pool) {
            self.pools.push(entry.key.pool);
        }
        let (at, evicted) = self.place(entry);
        self.last = at;
        if self.buckets.len() < 2 * self.entries.len() {
            self.rebuild();
        } else {
            self.list(at, hash);
        }
        evicted
    }

    /// Gives it a number: a new one, or the oldest entry's.
    fn place(&mut self, entry: CacheEntry) -> (usize, Option<CacheEntry>) {
        let count = self.entries.len();
        if count < MOST_ENTRIES {
            if count == self.entries.capacity() {
                let more = count.max(FEWEST_BUCKETS / 2).min(MOST_ENTRIES - count);
                self.entries.reserve_exact(more);
            }
            self.entries.push(entry);
            return (count, None);
        }
        let at = self.oldest;
        self.oldest = (at + 1) % MOST_ENTRIES;
        self.unlist(at);
        for lent in &mut self.lent {
            lent.take_if(|&mut (_, number)| number as usize == at);
        }
        (at, Some(std::mem::replace(&mut self.entries[at], entry)))
    }

    fn list(&mut self, at: usize, hash: u32) {
        let entry = (at + 1) as u32;
        if let Some(free) = self.probe(hash).find(|&at| self.buckets[at].entry == 0) {
            self.buckets[free] = Bucket { entry, hash };
        }
    }

    /// Empties the bucket of that entry, and moves those behind it up, so that none stands behind
    /// an empty one.
    fn unlist(&mut self, at: usize) {
        let hash = self.entries[at].key.hash(self.seed);
        let own = (at + 1) as u32;
        let Some(mut hole) = self.probe(hash).find(|&at| self.buckets[at].entry == own) else {
            return;
        };
        let mask = self.buckets.len() - 1;
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let bucket = self.buckets[next];
            if bucket.entry == 0 {
                break;
            }
            let distance = |to: usize| to.wrapping_sub(bucket.hash as usize) & mask;
            if distance(hole) <= distance(next) {
                self.buckets[hole] = bucket;
                hole = next;
            }
        }
        self.buckets[hole] = Bucket::default();
    }

    fn rebuild(&mut self) {
        let size = (2 * self.entries.len()).next_power_of_two();
        self.buckets = vec![Bucket::default(); size.max(FEWEST_BUCKETS)];
        for at in 0..self.entries.len() {
            let hash = self.entries[at].key.hash(self.seed);
            self.list(at, hash);
        }
    }

    /// That connection is this thread's, for the key that was asked for last.
    pub(super) fn lend(&mut self, conn: SlotId) {
        let is_it = |lent: &Option<(SlotId, u32)>| lent.is_some_and(|(one, _)| one == conn);
        let known = self.lent.iter().position(is_it);
        let at = known.unwrap_or(self.lent_so_far % MOST_LENT);
        self.lent[at] = Some((conn, self.last as u32));
        self.lent_so_far += usize::from(known.is_none());
    }

    /// The entry by which that connection was borrowed.
    pub(super) fn entry_of(&mut self, conn: SlotId) -> Option<&mut CacheEntry> {
        let mut lent = self.lent.iter().flatten();
        let &(_, number) = lent.find(|(one, _)| *one == conn)?;
        self.entries.get_mut(number as usize)
    }

    /// Forgets pools that have ended, if more have since the last time.
    pub(super) fn sweep(&mut self, ended: u32) {
        if self.seen == ended {
            return;
        }
        self.seen = ended;
        let is_alive = |&pool: &usize| PoolHandle::table().pin(pool).is_ok();
        if self.pools.len() > MOST_POOLS {
            return self.retain(|entry| is_alive(&entry.key.pool));
        }
        let before = self.pools.len();
        self.pools.retain(is_alive);
        if self.pools.len() < before {
            let pools = std::mem::take(&mut self.pools);
            self.retain(|entry| pools.contains(&entry.key.pool));
            self.pools = pools;
        }
    }

    fn retain(&mut self, stays: impl Fn(&CacheEntry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(stays);
        if self.entries.is_empty() {
            let Self { seed, seen, .. } = *self;
            *self = Self {
                seed,
                seen,
                ..Self::EMPTY
            };
        } else if self.entries.len() < before {
            self.oldest = 0;
            self.lent = Self::EMPTY.lent;
            self.entries.shrink_to(FEWEST_BUCKETS / 2);
            self.rebuild();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::foreign::text::Text;

    fn key(pool: usize, address: &str) -> KeyRef<'_> {
        KeyRef {
            pool,
            network: Text::of(c"tcp"),
            address: address.as_bytes(),
            tag: None,
        }
    }

    fn entry(pool: usize, address: &str) -> CacheEntry {
        CacheEntry {
            key: OwnedKey::new(&key(pool, address)).expect("short"),
            cached: None,
            conn: SlotId::from_bits(0),
        }
    }

    fn add(cache: &mut ThreadCache, pool: usize, address: &str) {
        let hash = key(pool, address).hash(cache.drawn_seed());
        cache.add(hash, entry(pool, address));
    }

    fn addresses(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|i| format!("127.0.{}.{}:80", i >> 8, i & 255))
    }

    #[test]
    fn each_is_found_and_no_other() {
        let mut cache = ThreadCache::EMPTY;
        for address in addresses(5000) {
            assert!(cache.find(&key(7, &address)).is_none());
            add(&mut cache, 7, &address);
        }
        for address in addresses(5000) {
            let found = cache.find(&key(7, &address)).expect("kept");
            assert!(found.key.is(&key(7, &address)));
            assert!(cache.find(&key(8, &address)).is_none());
        }
        let stays = |address: &String| address.contains(".1.");
        let kept: Vec<String> = addresses(5000).filter(stays).collect();
        cache.retain(|entry| kept.iter().any(|address| entry.key.is(&key(7, address))));
        for address in addresses(5000) {
            let is_kept = stays(&address);
            assert_eq!(cache.find(&key(7, &address)).is_some(), is_kept);
        }
        cache.retain(|_| false);
        assert_eq!((cache.entries.capacity(), cache.buckets.capacity()), (0, 0));
    }

    #[test]
    fn the_oldest_make_room_and_the_memory_stays_within_two_mebibytes() {
        let mut cache = ThreadCache::EMPTY;
        let addresses: Vec<String> = addresses(3 * MOST_ENTRIES / 2).collect();
        for (number, address) in addresses.iter().enumerate() {
            add(&mut cache, number, address);
        }
        let forgotten = addresses.len() - MOST_ENTRIES;
        for (number, address) in addresses.iter().enumerate() {
            let is_known = cache.find(&key(number, address)).is_some();
            assert_eq!(is_known, number >= forgotten, "{number}");
        }
        let memory = size_of::<CacheEntry>() * cache.entries.capacity()
            + size_of::<Bucket>() * cache.buckets.capacity()
            + size_of::<usize>() * cache.pools.capacity();
        assert!(memory <= 2 << 20, "{memory}");
    }

    #[test]
    fn many_of_one_hash_cost_no_more_than_a_few() {
        let mut cache = ThreadCache::EMPTY;
        for address in addresses(1000) {
            cache.add(5, entry(7, &address));
        }
        assert!(cache.buckets.len() <= 2048);
        assert!(cache.probe(5).count() <= LONGEST_PROBE);
    }
}
