//! The sources of the tests and what stands in them: `TEST(name, "subject: rule")`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory` with one of these extensions, in the order of their paths.
pub(crate) fn files_below(directory: &Path, extensions: &[&str]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.append(&mut files_below(&path, extensions));
        } else if path
            .extension()
            .is_some_and(|end| extensions.iter().any(|one| end == *one))
        {
            found.insert(path);
        }
    }
    found
}

/// A test and the rule that it shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) rule: String,
    pub(crate) name: String,
}

/// The text of a source.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of the string literals that stand side by side at the start, joined as a compiler joins
/// them.
fn literals(text: &str) -> String {
    let mut joined = String::new();
    let mut rest = text.trim_start();
    while let Some(inside) = rest.strip_prefix('"') {
        let mut characters = inside.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    rest = inside[at + 1..].trim_start();
                    break;
                }
                '\\' => joined.extend(characters.next().map(|(_, escaped)| escaped)),
                other => joined.push(other),
            }
        }
    }
    joined
}

/// The arguments of a macro that begins a line: a word, another word where there are `words` of
/// them, and a text.
fn test_of(arguments: &str, words: usize) -> Test {
    let mut rest = arguments;
    let mut name = "";
    for _ in 0..words {
        let (word, after) = rest.split_once([',', ')']).expect("an argument ends");
        (name, rest) = (word.trim(), after);
    }
    Test {
        rule: literals(rest),
        name: name.to_owned(),
    }
}

/// The TESTs of a C or C++ source, in their order.
pub(crate) fn c_tests(file: &Path) -> Vec<Test> {
    let text = read(file);
    let lines = text.match_indices('\n').map(|(at, _)| &text[at + 1..]);
    lines
        .filter_map(|line| match line.strip_prefix("TEST(") {
            Some(arguments) => Some(test_of(arguments, 1)),
            None => Some(test_of(line.strip_prefix("NETWORK_TEST(")?, 2)),
        })
        .collect()
}
