//! Which line of a cache has the entry of a hash: a table of numbers, so that a look at what is not
//! there touches one cache line, and one at what is there another one, the entry's.
#![forbid(unsafe_code)]

use crate::sys::memory;

/// The table has at least so many buckets.
const FEWEST: usize = 32;
/// So many at most: 256 kB.
pub(super) const MOST: usize = 1 << 16;
/// So many for an entry, if there may be as many: then linear probing nearly always ends at the
/// first.
const FOR_EACH: usize = 4;
/// An entry stands so many buckets behind that of its hash at most. Of a seeded hash none has to
/// stand further away (1 in 10^5 at half load); of an adversary's, those are not remembered.
const LONGEST_PROBE: usize = 128;

/// The lower half of a hash says where a line is looked for, the upper half is kept beside it.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The line's number + 1; 0: there is none.
    line: u16,
    tag: u16,
}

const _: () = assert!(size_of::<Bucket>() == 4);

/// Lines by hash.
#[derive(Debug)]
pub(super) struct Buckets(Vec<Bucket>);

impl Buckets {
    pub(super) const NONE: Self = Self(Vec::new());

    /// Empty, for so many lines; `None`: there is no memory.
    pub(super) fn for_lines(count: usize) -> Option<Self> {
        let size = (FOR_EACH * count).next_power_of_two().clamp(FEWEST, MOST);
        let mut all = Vec::new();
        memory::or_none(|| all.try_reserve_exact(size))?;
        all.resize(size, Bucket::default());
        Some(Self(all))
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(Bucket::default());
    }

    /// It has to be made anew for so many lines.
    pub(super) fn are_too_few(&self, count: usize) -> bool {
        self.0.len() < MOST && self.0.len() < FOR_EACH * count
    }

    /// The lines of that hash: nearly always one, the right one.
    #[inline(always)]
    pub(super) fn candidates(&self, hash: u32) -> impl Iterator<Item = usize> + '_ {
        let buckets = self.probe(hash).map(|at| self.0[at]);
        let occupied = buckets.take_while(|bucket| bucket.line != 0);
        let own = occupied.filter(move |bucket| bucket.tag == tag_of(hash));
        own.map(|bucket| usize::from(bucket.line) - 1)
    }

    /// The buckets in which a line of that hash may be.
    #[inline(always)]
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.0.len().wrapping_sub(1);
        let first = hash as usize;
        let steps = LONGEST_PROBE.min(self.0.len());
        (0..steps).map(move |step| first.wrapping_add(step) & mask)
    }

    pub(super) fn insert(&mut self, hash: u32, line: usize) {
        let free = self.probe(hash).find(|&at| self.0[at].line == 0);
        if let (Some(free), Ok(line)) = (free, u16::try_from(line + 1)) {
            let tag = tag_of(hash);
            self.0[free] = Bucket { line, tag };
        }
    }

    /// Empties the bucket of that line, and moves those behind it up, so that none stands behind an
    /// empty one.
    pub(super) fn remove(&mut self, line: usize, hash_of: impl Fn(usize) -> u32) {
        let is_own = |&at: &usize| usize::from(self.0[at].line) == line + 1;
        let Some(mut hole) = self.probe(hash_of(line)).find(is_own) else {
            return;
        };
        let mask = self.0.len() - 1;
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let bucket = self.0[next];
            let Some(line) = usize::from(bucket.line).checked_sub(1) else {
                break;
            };
            let home = hash_of(line) as usize;
            let distance = |to: usize| to.wrapping_sub(home) & mask;
            if distance(hole) <= distance(next) {
                self.0[hole] = bucket;
                hole = next;
            }
        }
        self.0[hole] = Bucket::default();
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Bucket>() * self.0.capacity()
    }
}

fn tag_of(hash: u32) -> u16 {
    (hash >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_hash_cost_no_more_than_a_few() {
        let mut buckets = Buckets::for_lines(1000).expect("there is memory");
        for line in 0..1000 {
            buckets.insert(5, line);
        }
        assert!(buckets.probe(5).count() <= LONGEST_PROBE);
        assert!(buckets.candidates(5).any(|line| line == 7));
        assert!(!buckets.candidates(5).any(|line| line == 999));
    }

    #[test]
    fn what_is_removed_hides_nothing() {
        let hash_of = |line: usize| (line * 7 % 50) as u32;
        let mut buckets = Buckets::for_lines(20).expect("there is memory");
        for line in 0..60 {
            buckets.insert(hash_of(line), line);
        }
        for removed in (0..60).step_by(3) {
            buckets.remove(removed, hash_of);
        }
        for line in 0..60 {
            let is_found = buckets.candidates(hash_of(line)).any(|one| one == line);
            assert_eq!(is_found, line % 3 != 0, "{line}");
        }
    }
}
