//! The entries of a cache, in the order in which they came. The oldest make room for a new one when
//! there are as many lines as there may be.
#![forbid(unsafe_code)]

use super::entry::{CacheEntry, CacheLine, REST};
use super::key::{KeyRef, OwnedKey};
use crate::sys::memory;

/// Of 64 bytes each.
pub(super) const MOST: usize = 28_000;
/// Room for so many is made at once.
const FEWEST: usize = 16;

const EMPTY: CacheLine = CacheLine::Rest([0; REST]);

/// A ring, once it is full.
#[derive(Debug)]
pub(super) struct Lines {
    all: Vec<CacheLine>,
    /// Where the next entry goes when there are [`MOST`].
    oldest: usize,
}

impl Lines {
    pub(super) const NONE: Self = Self {
        all: Vec::new(),
        oldest: 0,
    };

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether that line is the entry of that key, which is a short one.
    #[inline(always)]
    pub(super) fn is_short(&self, line: usize, key: &KeyRef<'_>) -> bool {
        match self.entry(line) {
            Some(entry) => !entry.has_rest && entry.is(key),
            None => false,
        }
    }

    /// Whether that line is the entry of that key, which is a long one.
    #[inline(always)]
    pub(super) fn is_long(&self, line: usize, key: &KeyRef<'_>) -> bool {
        match self.entry(line) {
            Some(entry) => entry.has_rest && entry.is_long(self.rest_of(line), key),
            None => false,
        }
    }

    /// Whether that line is the entry of that key.
    #[inline(never)]
    pub(super) fn is_at(&self, line: usize, key: &KeyRef<'_>) -> bool {
        self.is_short(line, key) || self.is_long(line, key)
    }

    /// The line behind that one, if it is an entry's rest.
    fn rest_of(&self, line: usize) -> &[u8; REST] {
        match self.all.get(line + 1) {
            Some(CacheLine::Rest(rest)) => rest,
            _ => &[0; REST],
        }
    }

    #[inline(always)]
    pub(super) fn entry_mut(&mut self, line: usize) -> Option<&mut CacheEntry> {
        match self.all.get_mut(line) {
            Some(CacheLine::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    #[inline(always)]
    fn entry(&self, line: usize) -> Option<&CacheEntry> {
        match self.all.get(line) {
            Some(CacheLine::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The key of the entry in that line, if there is one.
    pub(super) fn key_at(&self, line: usize) -> Option<OwnedKey> {
        let entry = self.entry(line)?;
        Some(entry.key(self.rest_of(line)))
    }

    /// Sees to it that so many lines more find room. False: there is no memory.
    pub(super) fn try_reserve(&mut self, lines: usize) -> bool {
        let count = self.all.len();
        if count + lines > MOST || count + lines <= self.all.capacity() {
            return true;
        }
        let more = count.max(FEWEST).min(MOST - count);
        memory::or_none(|| self.all.try_reserve_exact(more)).is_some()
    }

    /// Where the next entry goes, with so many lines, for which there is room. What stands there
    /// has to be taken first.
    pub(super) fn next(&mut self, lines: usize) -> usize {
        let count = self.all.len();
        if count + lines <= MOST {
            self.all.extend((0..lines).map(|_| EMPTY));
            return count;
        }
        let at = Some(self.oldest).filter(|at| at + lines <= count);
        let at = at.unwrap_or_default();
        self.oldest = at + lines;
        at
    }

    /// Takes the entry out of that line, if there is one.
    pub(super) fn take(&mut self, line: usize) -> Option<CacheEntry> {
        self.entry(line)?;
        match std::mem::replace(&mut self.all[line], EMPTY) {
            CacheLine::Entry(entry) => Some(entry),
            CacheLine::Rest(_) => None,
        }
    }

    pub(super) fn put(&mut self, at: usize, entry: CacheEntry, rest: Option<[u8; REST]>) {
        self.all[at] = CacheLine::Entry(entry);
        if let Some(rest) = rest {
            self.all[at + 1] = CacheLine::Rest(rest);
        }
    }

    /// Keeps those entries alone, in their order.
    pub(super) fn retain(&mut self, stays: impl Fn(&CacheEntry) -> bool) {
        let mut is_rest_kept = false;
        self.all.retain(|line| match line {
            CacheLine::Entry(entry) => {
                let is_kept = stays(entry);
                is_rest_kept = is_kept && entry.has_rest;
                is_kept
            }
            CacheLine::Rest(_) => std::mem::take(&mut is_rest_kept),
        });
        self.all.shrink_to(FEWEST);
        self.oldest = 0;
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<CacheLine>() * self.all.capacity()
    }
}
