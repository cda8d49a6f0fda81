//! The lines that no test runs and that are argued: tests/coverage/argued.md.
//!
//! A row of one of its tables names a file of src, the text of a line, and how many lines stand
//! there together (the line and those that follow it). A row whose line is not in the file any more
//! is stale, and fails.

use std::collections::BTreeMap;
use std::path::Path;

const LIST: &str = "tests/coverage/argued.md";

/// So many lines from each that has this text.
struct Row {
    text: String,
    lines: usize,
}

pub(crate) struct Argued {
    rows: BTreeMap<String, Vec<Row>>,
    stale: Vec<String>,
}

/// `| file | line | lines |`, the first two between backticks.
fn row(line: &str) -> Option<(String, Row)> {
    let rest = line.strip_prefix("| `")?;
    let (file, rest) = rest.split_once("` | `")?;
    let (text, rest) = rest.split_once("` | ")?;
    let lines = rest.trim_end_matches(['|', ' ']).parse().ok()?;
    let text = text.to_owned();
    Some((file.to_owned(), Row { text, lines }))
}

impl Argued {
    pub(crate) fn read(repository: &Path) -> Argued {
        let list = std::fs::read_to_string(repository.join(LIST)).expect("the list can be read");
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut stale = Vec::new();
        for (file, row) in list.lines().filter_map(row) {
            let source = std::fs::read_to_string(repository.join(&file)).unwrap_or_default();
            if !source.lines().any(|line| line.trim() == row.text) {
                stale.push(format!("{file}: {}", row.text));
            }
            rows.entry(file).or_default().push(row);
        }
        Argued { rows, stale }
    }

    /// Rows that name what is not there.
    pub(crate) fn stale(&self) -> &[String] {
        &self.stale
    }

    /// Whether the line `at` (from 0) of this file is argued.
    pub(crate) fn covers(&self, file: &str, source: &[&str], at: usize) -> bool {
        let rows = self.rows.get(file).map_or(&[][..], Vec::as_slice);
        rows.iter().any(|row| {
            let first = (at + 1).saturating_sub(row.lines);
            source[first..=at]
                .iter()
                .any(|line| line.trim() == row.text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_argues_its_line_and_those_that_follow() {
        let (file, one) = row("| `src/a.rs` | `x` | 2 |").expect("a row");
        let rows = BTreeMap::from([(file, vec![one])]);
        let argued = Argued {
            rows,
            stale: Vec::new(),
        };
        let source = ["y", "  x", "z", "z"];
        let covered = (0..4).filter(|&at| argued.covers("src/a.rs", &source, at));
        assert_eq!(covered.collect::<Vec<_>>(), [1, 2]);
    }
}
