//! The figures by room, and the list of what nothing ran.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use crate::argued::{Argued, LIST};
use crate::counts::{Counts, FileCounts, Sides};

/// The layers whose every line is run or argued, and which the table shows room by room.
const ARGUED_LAYERS: [&str; 3] = ["pool", "handle", "ffi"];
const LAYERS_OF_ROOMS: [&str; 4] = ["dial", "ffi", "pool", "sys"];

#[derive(Clone, Copy, Default)]
struct Share {
    of: usize,
    ran: usize,
}

impl Share {
    fn percent(self) -> f64 {
        100.0 * self.ran as f64 / self.of.max(1) as f64
    }

    fn add(&mut self, of: usize, ran: usize) {
        self.of += of;
        self.ran += ran;
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Share { of, ran } = *self;
        match of {
            0 => write!(f, "{:>22}", "-"),
            _ => write!(f, "{:6.2} % {ran:5} of {of:5}", self.percent()),
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Figures {
    lines: Share,
    branches: Share,
}

impl Figures {
    fn add(&mut self, file: &FileCounts) {
        let ran = file.lines.values().filter(|&&count| count > 0).count();
        self.lines.add(file.lines.len(), ran);
        let seen = file.branches.values().map(|sides| sides.seen()).sum();
        self.branches.add(2 * file.branches.len(), seen);
    }
}

pub(crate) struct Report {
    rooms: BTreeMap<String, Figures>,
    all: Figures,
    list: String,
    /// Lines of the argued layers that nothing ran.
    argued: usize,
    unargued: Vec<String>,
    /// Arguments about what is not there, or is run.
    faults: Vec<String>,
}

/// `src/pool/state` of `src/pool/state/wait/mod.rs`, `src/handle` of `src/handle/table.rs`.
fn room(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').collect();
    let depth = if LAYERS_OF_ROOMS.contains(&parts[1]) {
        3
    } else {
        2
    };
    parts[..depth.min(parts.len())].join("/")
}

fn is_in_argued_layer(file: &str) -> bool {
    let layer = file.split('/').nth(1).unwrap_or_default();
    ARGUED_LAYERS.contains(&layer)
}

/// Which side of a condition was not seen.
fn unseen(sides: Sides) -> Option<&'static str> {
    match (sides.taken > 0, sides.passed > 0) {
        (true, true) => None,
        (true, false) => Some("never false"),
        (false, true) => Some("never true"),
        (false, false) => Some("never asked"),
    }
}

impl Report {
    pub(crate) fn new(counts: &Counts, argued: &Argued, repository: &Path) -> Self {
        let mut report = Report {
            rooms: BTreeMap::new(),
            all: Figures::default(),
            list: String::new(),
            argued: 0,
            unargued: Vec::new(),
            faults: argued.faults(counts),
        };
        for (name, file) in &counts.files {
            report.rooms.entry(room(name)).or_default().add(file);
            report.all.add(file);
            let text = std::fs::read_to_string(repository.join(name)).expect("a source file");
            let source: Vec<&str> = text.lines().collect();
            report.list_lines(name, file, &source, argued);
            report.list_branches(name, file, &source);
        }
        report
    }

    fn list_lines(&mut self, name: &str, file: &FileCounts, source: &[&str], argued: &Argued) {
        for (&line, _) in file.lines.iter().filter(|(_, &count)| count == 0) {
            let text = source.get(line as usize - 1).map_or("", |text| text.trim());
            let is_argued = argued.covers(name, line);
            let note = if is_argued { "argued" } else { "not run" };
            writeln!(self.list, "{name}:{line}: {note}: {text}").expect("a string grows");
            if is_argued {
                self.argued += 1;
            } else if is_in_argued_layer(name) {
                self.unargued.push(format!("{name}:{line}: {text}"));
            }
        }
    }

    fn list_branches(&mut self, name: &str, file: &FileCounts, source: &[&str]) {
        for (place, &sides) in &file.branches {
            let Some(what) = unseen(sides) else {
                continue;
            };
            let [line, column, ..] = *place;
            let text = source.get(line as usize - 1).map_or("", |text| text.trim());
            writeln!(self.list, "{name}:{line}:{column}: {what}: {text}").expect("a string grows");
        }
    }

    pub(crate) fn list(&self) -> &str {
        &self.list
    }

    pub(crate) fn lines(&self) -> f64 {
        self.all.lines.percent()
    }

    pub(crate) fn branches(&self) -> f64 {
        self.all.branches.percent()
    }

    /// Each line that nothing runs is argued where it must be, and no other is.
    pub(crate) fn is_argued(&self) -> bool {
        self.unargued.is_empty() && self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:28} {:>22}    {:>22}", "room", "lines", "branches")?;
        for (room, figures) in &self.rooms {
            writeln!(f, "{room:28} {}    {}", figures.lines, figures.branches)?;
        }
        for line in &self.unargued {
            writeln!(f, "no test runs it, and {LIST} does not argue it: {line}")?;
        }
        for fault in &self.faults {
            writeln!(f, "{LIST}: {fault}")?;
        }
        let (argued, unargued) = (self.argued, self.unargued.len());
        writeln!(
            f,
            "coverage: lines {:.2} %, branches {:.2} %; {argued} lines argued, {unargued} not",
            self.lines(),
            self.branches()
        )
    }
}
