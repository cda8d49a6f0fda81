//! How often each line and each side of each branch ran.

use std::collections::BTreeMap;

/// Where a condition stands: first and last line and column.
pub(crate) type Place = [u64; 4];

/// How often a condition was true, and how often false.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sides {
    pub(crate) taken: u64,
    pub(crate) passed: u64,
}

impl Sides {
    pub(crate) fn add(&mut self, other: Sides) {
        self.taken += other.taken;
        self.passed += other.passed;
    }

    pub(crate) fn seen(self) -> usize {
        usize::from(self.taken > 0) + usize::from(self.passed > 0)
    }
}

/// One file of the source.
#[derive(Default)]
pub(crate) struct FileCounts {
    pub(crate) lines: BTreeMap<u64, u64>,
    pub(crate) branches: BTreeMap<Place, Sides>,
}

/// Every file, by its path in the repository.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) files: BTreeMap<String, FileCounts>,
}

impl Counts {
    /// Adds another build's counts of what is known here.
    pub(crate) fn add(&mut self, other: &Counts) {
        for (name, file) in &mut self.files {
            if let Some(more) = other.files.get(name) {
                file.add(more);
            }
        }
    }
}

impl FileCounts {
    fn add(&mut self, more: &FileCounts) {
        for (line, count) in &mut self.lines {
            *count += more.lines.get(line).copied().unwrap_or(0);
        }
        for (place, sides) in &mut self.branches {
            sides.add(more.branches.get(place).copied().unwrap_or_default());
        }
    }
}
