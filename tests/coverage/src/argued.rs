//! The lines that no test runs and that are argued: tests/coverage/argued.md.
//!
//! A row of one of its tables names a file of src, a line of it by its text, and how many lines the
//! row argues: that line and those that follow it. So a row does not move when the lines above it
//! do. Where the text stands in the file more than once, those before it stand before it, so many
//! that all of them stand there once. Nothing may run what is argued, but what stands under the
//! heading "By chance".

use std::path::Path;

use crate::counts::Counts;

pub(crate) const LIST: &str = "tests/coverage/argued.md";
const BY_CHANCE: &str = "## By chance";
const NEXT_LINE: &str = " ↵ ";

struct Row {
    file: String,
    text: String,
    lines: u64,
    /// Its first line, from 1. `None`: its text stands nowhere in the file, or more than once.
    first: Option<u64>,
    /// It is run when two threads meet at a moment that no test can make.
    is_by_chance: bool,
}

pub(crate) struct Argued {
    rows: Vec<Row>,
}

/// `| file | line | lines |`, the first two between backticks.
fn row(line: &str) -> Option<Row> {
    let rest = line.strip_prefix("| `")?;
    let (file, rest) = rest.split_once("` | `")?;
    let (text, rest) = rest.rsplit_once("` | ")?;
    let lines = rest.trim_end_matches(['|', ' ']).parse().ok()?;
    Some(Row {
        file: file.to_owned(),
        text: text.to_owned(),
        lines,
        first: None,
        is_by_chance: false,
    })
}

/// Where the last of these lines stands, from 1, if they follow each other in one place only.
fn only_line(source: &str, text: &str) -> Option<u64> {
    let wanted: Vec<&str> = text.split(NEXT_LINE).collect();
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = (wanted.len() as u64..)
        .zip(lines.windows(wanted.len()))
        .filter(|(_, lines)| *lines == wanted);
    let (line, _) = found.next()?;
    found.next().is_none().then_some(line)
}

impl Row {
    fn argues(&self, line: u64) -> bool {
        self.first
            .is_some_and(|first| (first..first + self.lines).contains(&line))
    }

    /// Why this row is none.
    fn fault(&self, counts: &Counts) -> Option<&'static str> {
        let Some(first) = self.first else {
            return Some("stands nowhere in its file, or more than once");
        };
        let count_of = |line| counts.files.get(&self.file)?.lines.get(&line).copied();
        let last = first + self.lines.max(1) - 1;
        let is_run = |line| count_of(line).is_some_and(|count| count > 0);
        if count_of(first).is_none() || count_of(last).is_none() {
            return Some("is argued, and has no code at its beginning or end");
        }
        let may_be_run = self.is_by_chance;
        (!may_be_run && (first..=last).any(is_run)).then_some("is argued, and run")
    }
}

impl Argued {
    /// Fails on a line of a table that is no row, so that no argument is lost by a slip.
    pub(crate) fn read(repository: &Path) -> Argued {
        let list = std::fs::read_to_string(repository.join(LIST)).expect("the list can be read");
        let mut rows = Vec::new();
        let mut is_by_chance = false;
        for line in list.lines() {
            if line.starts_with("## ") {
                is_by_chance = line.starts_with(BY_CHANCE);
            } else if line.starts_with("| `") {
                let row = row(line).unwrap_or_else(|| panic!("{LIST}: no row: {line}"));
                let source = std::fs::read_to_string(repository.join(&row.file));
                let first = only_line(&source.unwrap_or_default(), &row.text);
                rows.push(Row {
                    first,
                    is_by_chance,
                    ..row
                });
            }
        }
        Argued { rows }
    }

    /// Whether that line, from 1, is argued.
    pub(crate) fn covers(&self, file: &str, line: u64) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.file == file && row.argues(line))
    }

    /// Rows about what is not there, or is run.
    pub(crate) fn faults(&self, counts: &Counts) -> Vec<String> {
        let rows = self.rows.iter();
        let faults = rows.filter_map(|row| {
            let fault = row.fault(counts)?;
            Some(format!("{}: `{}` {fault}", row.file, row.text))
        });
        faults.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::counts::FileCounts;

    const SOURCE: &str = "if x {\n  y();\n}\nz();\nz();";

    fn row_at(text: &str) -> Row {
        let mut row = row(text).expect("a row");
        row.first = only_line(SOURCE, &row.text);
        row
    }

    fn counts(lines: &[(u64, u64)]) -> Counts {
        let lines = lines.iter().copied().collect();
        let branches = BTreeMap::new();
        let files = [("src/a.rs".to_owned(), FileCounts { lines, branches })];
        Counts {
            files: files.into(),
        }
    }

    #[test]
    fn a_row_argues_its_line_and_those_that_follow() {
        let row = row_at("| `src/a.rs` | `y();` | 2 |");
        assert!((1..6).all(|line| row.argues(line) == (line == 2 || line == 3)));
        assert_eq!(row.fault(&counts(&[(1, 7), (2, 0), (3, 0), (4, 7)])), None);
    }

    #[test]
    fn the_lines_before_it_tell_which_one_it_is() {
        let row = row_at("| `src/a.rs` | `} ↵ z();` | 1 |");
        assert!(row.argues(4) && !row.argues(5));
    }

    #[test]
    fn what_is_run_is_not_argued() {
        let counts = counts(&[(1, 7), (2, 0), (3, 1)]);
        let row = row_at("| `src/a.rs` | `y();` | 2 |");
        assert_eq!(row.fault(&counts), Some("is argued, and run"));
        let by_chance = Row {
            is_by_chance: true,
            ..row
        };
        assert_eq!(by_chance.fault(&counts), None);
    }

    #[test]
    fn a_row_names_one_line_with_code() {
        let counts = counts(&[(1, 7), (2, 0), (4, 0)]);
        for row in ["`z();` | 1 |", "`w();` | 1 |", "`y();` | 2 |"] {
            let row = row_at(&format!("| `src/a.rs` | {row}"));
            assert!(row.fault(&counts).is_some());
        }
    }
}
