//! One thread's cache: a table of numbers ([`Buckets`]), and behind it the entries ([`Lines`]).
#![forbid(unsafe_code)]

use super::buckets::{self, Buckets};
use super::entry::CacheEntry;
use super::key::{KeyRef, OwnedKey};
use super::lines::{self, Lines};
use crate::handle::{CachedSlot, Kept, SlotId};
use crate::pool::conn::Conn;
use crate::pool::PoolHandle;
use crate::sync::Arc;
use crate::sys::{memory, random};
use crate::values::destination::Destination;

/// A thread that has more connections out at once does not find the oldest of them first when it
/// has given them back.
const MOST_LENT: usize = 32;

/// More are not told apart when a pool ends.
const MOST_POOLS: usize = 64;

/// A cache of its own takes at most 2 MiB: its lines, its buckets, and the pools. The destinations
/// are shared with the pools that know them.
const _: () = assert!(lines::MOST * 64 + buckets::MOST * 4 + (32 << 10) < 2 << 20);

/// What one thread has dialed lately.
#[derive(Debug)]
pub(crate) struct ThreadCache {
    buckets: Buckets,
    lines: Lines,
    /// The line of the entry that was asked for last: most threads dial the same again.
    last: usize,
    /// Drawn for this thread, so that nobody can make the hashes of addresses fall together.
    seed: u64,
    /// Whose they are, unless they are too many: the end of another pool is no reason to look
    /// through all entries.
    pools: Vec<usize>,
    /// Of so many pools it has seen the end.
    seen: u32,
    /// Connections that the thread borrowed, each with the line of its entry; the newest overwrites
    /// the oldest.
    lent: [Option<(SlotId, u32)>; MOST_LENT],
    lent_so_far: usize,
    /// What the key of that line means: the newest is known even if its connection has ended, as
    /// in a pool that keeps none.
    newest: Option<(usize, Arc<Destination>)>,
}

impl ThreadCache {
    pub(super) const EMPTY: Self = Self {
        buckets: Buckets::NONE,
        lines: Lines::NONE,
        last: 0,
        seed: 0,
        pools: Vec::new(),
        seen: 0,
        lent: [None; MOST_LENT],
        lent_so_far: 0,
        newest: None,
    };

    #[inline(always)]
    pub(crate) fn find(&mut self, key: &KeyRef<'_>) -> Option<&mut CacheEntry> {
        if self.lines.is_short(self.last, key) {
            return self.lines.entry_mut(self.last);
        }
        self.last = self.look_up(*key)?;
        self.lines.entry_mut(self.last)
    }

    /// By value: so the key is put into memory for this call alone.
    #[inline(never)]
    fn look_up(&self, key: KeyRef<'_>) -> Option<usize> {
        if self.lines.is_long(self.last, &key) {
            return Some(self.last);
        }
        let mut candidates = self.buckets.candidates(key.hash(self.seed));
        let first = candidates.next()?;
        if self.lines.is_short(first, &key) {
            return Some(first);
        }
        let mut all = std::iter::once(first).chain(candidates);
        all.find(|&line| self.lines.is_at(line, &key))
    }

    /// Remembers where a connection of that key will be; returns those that the fast path is not
    /// led to any more.
    pub(super) fn remember(
        &mut self,
        key: &OwnedKey,
        slot: CachedSlot<Conn>,
        limit: u32,
    ) -> [Option<CachedSlot<Conn>>; 2] {
        let known = self.look_up(key.as_ref());
        let Some(line) = known else {
            return self.add(key, slot, limit);
        };
        self.last = line;
        let Some(entry) = self.lines.entry_mut(line) else {
            return [None; 2];
        };
        let before = entry.replace(slot, limit);
        if let Some(before) = before {
            // It is out, perhaps.
            self.lend(before.slot_id());
        }
        [before, None]
    }

    /// Returns what made room for it. Where there is no memory, nothing is remembered.
    fn add(
        &mut self,
        key: &OwnedKey,
        slot: CachedSlot<Conn>,
        limit: u32,
    ) -> [Option<CachedSlot<Conn>>; 2] {
        let (entry, rest) = CacheEntry::new(key, slot, limit);
        let lines = 1 + usize::from(rest.is_some());
        if !self.try_reserve(lines) {
            return [None; 2];
        }
        if self.pools.len() <= MOST_POOLS && !self.pools.contains(&key.pool) {
            self.pools.push(key.pool);
        }
        let at = self.lines.next(lines);
        let evicted = [self.take(at), rest.and_then(|_| self.take(at + 1))];
        self.lines.put(at, entry, rest);
        self.last = at;
        let hash = key.as_ref().hash(self.drawn_seed());
        self.buckets.insert(hash, at);
        evicted
    }

    fn try_reserve(&mut self, lines: usize) -> bool {
        if !memory::try_reserve(&mut self.pools, 1) || !self.lines.try_reserve(lines) {
            return false;
        }
        let count = self.lines.count() + lines;
        if !self.buckets.are_too_few(count) {
            return true;
        }
        let Some(wider) = Buckets::for_lines(count) else {
            return false;
        };
        self.buckets = wider;
        self.fill_buckets();
        true
    }

    /// The key that was asked for last means that.
    pub(super) fn note_meaning(&mut self, destination: &Arc<Destination>) {
        match &self.newest {
            Some((line, known)) if *line == self.last && Arc::ptr_eq(known, destination) => {}
            _ => self.newest = Some((self.last, destination.clone())),
        }
    }

    /// What the key means that was asked for last, if that is the newest.
    pub(super) fn newest_meaning(&self) -> Option<Arc<Destination>> {
        let (line, destination) = self.newest.as_ref()?;
        (*line == self.last).then(|| destination.clone())
    }

    fn drawn_seed(&mut self) -> u64 {
        if self.seed == 0 {
            self.seed = random::draw() | 1;
        }
        self.seed
    }

    fn hash_at(lines: &Lines, seed: u64) -> impl Fn(usize) -> u32 + '_ {
        move |line| lines.key_at(line).map_or(0, |key| key.as_ref().hash(seed))
    }

    /// Takes out the entry in that line, if there is one.
    fn take(&mut self, line: usize) -> Option<CachedSlot<Conn>> {
        self.lines.key_at(line)?;
        self.buckets
            .remove(line, Self::hash_at(&self.lines, self.seed));
        for lent in &mut self.lent {
            lent.take_if(|&mut (_, of)| of as usize == line);
        }
        self.newest.take_if(|&mut (of, _)| of == line);
        self.lines.take(line)?.cached()
    }

    /// Lines have gone.
    fn rebuild(&mut self) {
        match Buckets::for_lines(self.lines.count()) {
            Some(fewer) => self.buckets = fewer,
            None => self.buckets.clear(),
        }
        self.fill_buckets();
    }

    /// Puts every entry into the empty buckets.
    fn fill_buckets(&mut self) {
        let seed = self.drawn_seed();
        for line in 0..self.lines.count() {
            if let Some(key) = self.lines.key_at(line) {
                self.buckets.insert(key.as_ref().hash(seed), line);
            }
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
        let &(_, line) = lent.find(|(one, _)| *one == conn)?;
        self.lines.entry_mut(line as usize)
    }

    /// Forgets pools that have ended, if more have since the last time.
    pub(super) fn sweep(&mut self, ended: u32) {
        if self.seen == ended {
            return;
        }
        self.seen = ended;
        let is_alive = |&pool: &usize| PoolHandle::table().pin(pool).is_ok();
        if self.pools.len() > MOST_POOLS {
            return self.retain(|entry| is_alive(&entry.pool));
        }
        let before = self.pools.len();
        self.pools.retain(is_alive);
        if self.pools.len() < before {
            let pools = std::mem::take(&mut self.pools);
            self.retain(|entry| pools.contains(&entry.pool));
            self.pools = pools;
        }
    }

    fn retain(&mut self, stays: impl Fn(&CacheEntry) -> bool) {
        let before = self.lines.count();
        self.lines.retain(stays);
        if self.lines.count() == 0 {
            let Self { seed, seen, .. } = *self;
            *self = Self {
                seed,
                seen,
                ..Self::EMPTY
            };
        } else if self.lines.count() < before {
            self.lent = Self::EMPTY.lent;
            self.newest = None;
            self.rebuild();
        }
    }
}

#[cfg(test)]
mod tests;
