//! Reads what `llvm-cov export` wrote (JSON, its format "text").
//!
//! A generic function stands there once for each type it was made for, a condition in it too; they
//! are joined by their place. Lines are made of segments by llvm-cov's own rule (LineCoverageStats
//! in llvm/lib/ProfileData/Coverage/CoverageMapping.cpp), so that the figures are those of its
//! reports.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::counts::{Counts, FileCounts, Place, Sides};

/// Where a count begins to hold.
#[derive(Clone, Copy)]
struct Segment {
    line: u64,
    count: u64,
    has_count: bool,
    is_entry: bool,
    is_gap: bool,
}

impl Segment {
    fn read(value: &Value) -> Segment {
        let is = |at: usize| value[at].as_bool().expect("a segment has three flags");
        Segment {
            line: number(&value[0]),
            count: number(&value[2]),
            has_count: is(3),
            is_entry: is(4),
            is_gap: is(5),
        }
    }

    fn begins_region(&self) -> bool {
        self.has_count && self.is_entry && !self.is_gap
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("llvm-cov counts from zero")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The count of a line that begins under `before`; `None`: there is no code on it.
fn count_of(line: &[Segment], before: Option<Segment>) -> Option<u64> {
    let begun = line.iter().filter(|one| one.begins_region());
    let most = begun.map(|one| one.count).max();
    let is_skipped = line
        .first()
        .is_some_and(|one| !one.has_count && one.is_entry);
    let goes_on = before.filter(|one| one.has_count).map(|one| one.count);
    if is_skipped {
        return None;
    }
    most.max(goes_on)
}

fn lines(segments: &[Segment]) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    let mut rest = segments;
    let mut before = None;
    let span = segments.first().zip(segments.last());
    for line in span.map_or(0..0, |(first, last)| first.line..last.line + 1) {
        let (here, later) = rest.split_at(rest.partition_point(|one| one.line <= line));
        if let Some(count) = count_of(here, before) {
            counts.insert(line, count);
        }
        before = here.last().copied().or(before);
        rest = later;
    }
    counts
}

fn branches(file: &Value) -> BTreeMap<Place, Sides> {
    let mut found: BTreeMap<Place, Sides> = BTreeMap::new();
    for branch in array(&file["branches"]) {
        let numbers: Vec<u64> = array(branch).iter().map(number).collect();
        let place = [numbers[0], numbers[1], numbers[2], numbers[3]];
        let (taken, passed) = (numbers[4], numbers[5]);
        found.entry(place).or_default().add(Sides { taken, passed });
    }
    found
}

/// Without `..`: a package of tests compiles the library's files by way of its own directory.
fn direct(path: &Path) -> PathBuf {
    let mut direct = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(direct.pop()),
            _ => direct.push(part),
        }
    }
    direct
}

/// The files below src of that repository; what a file named tests.rs holds are tests.
pub(crate) fn read(export: &Path, repository: &Path) -> Counts {
    let file = File::open(export).expect("the export can be opened");
    let json: Value = serde_json::from_reader(BufReader::new(file)).expect("llvm-cov writes JSON");
    let mut counts = Counts::default();
    for file in array(&json["data"][0]["files"]) {
        let path = file["filename"].as_str().expect("a file has a name");
        let path = direct(Path::new(path));
        let Ok(name) = path.strip_prefix(repository) else {
            continue;
        };
        if !name.starts_with("src") || name.ends_with("tests.rs") {
            continue;
        }
        let segments: Vec<Segment> = array(&file["segments"]).iter().map(Segment::read).collect();
        let (lines, branches) = (lines(&segments), branches(file));
        let name = name.to_string_lossy().into_owned();
        counts.files.insert(name, FileCounts { lines, branches });
    }
    assert!(!counts.files.is_empty(), "{export:?} names no file of src");
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(line: u64, count: u64, is_entry: bool) -> Segment {
        Segment {
            line,
            count,
            has_count: true,
            is_entry,
            is_gap: false,
        }
    }

    #[test]
    fn a_line_has_the_highest_count_of_what_begins_or_goes_on_there() {
        let segments = [
            segment(1, 5, true),
            segment(2, 0, true),
            segment(3, 5, false),
            segment(4, 7, true),
        ];
        let expected = BTreeMap::from([(1, 5), (2, 5), (3, 0), (4, 7)]);
        assert_eq!(lines(&segments), expected);
    }

    #[test]
    fn a_condition_of_two_instances_is_one() {
        let file = serde_json::json!({
            "branches": [[3, 8, 3, 9, 4, 0, 0, 0, 4], [3, 8, 3, 9, 0, 2, 0, 0, 4]]
        });
        let found = branches(&file);
        let sides = found[&[3, 8, 3, 9]];
        assert_eq!((found.len(), sides.taken, sides.passed), (1, 4, 2));
    }
}
