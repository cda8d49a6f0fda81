//! The shape of the source: imports point down, and unsafe code stays in the rooms made for it.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first (lib.rs draws them).
const LAYERS: [&str; 8] = [
    "values",
    "sync",
    "sys",
    "handle",
    "thread_pool",
    "dial",
    "pool",
    "ffi",
];
const MAY_BE_UNSAFE: [&str; 3] = ["sys", "handle", "ffi"];
/// A file is one noun; longer ones hold two.
const LONGEST_FILE: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    collect(&root, &mut found);
    for (path, _) in &mut found {
        *path = path.strip_prefix(&root).expect("below src").to_owned();
    }
    found.retain(|(path, _)| path != Path::new("lib.rs"));
    assert!(found.len() > 30, "src was found");
    found
}

fn layer(path: &Path) -> String {
    let first = path.iter().next().expect("not empty").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn rank(layer: &str) -> usize {
    LAYERS
        .iter()
        .position(|one| *one == layer)
        .unwrap_or_else(|| panic!("{layer} is no layer: add it to LAYERS and lib.rs"))
}

#[test]
fn imports_point_down() {
    for (path, text) in sources() {
        let own = rank(&layer(&path));
        for import in text.split("crate::").skip(1) {
            let name: String = import
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            assert!(
                rank(&name) <= own,
                "{}: crate::{name} stands above",
                path.display()
            );
        }
    }
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    for (path, text) in sources() {
        let allowed = MAY_BE_UNSAFE.contains(&layer(&path).as_str());
        let forbids = text.contains("#![forbid(unsafe_code)]");
        assert!(
            allowed || forbids,
            "{}: #![forbid(unsafe_code)] is missing",
            path.display()
        );
    }
}

#[test]
fn every_file_says_what_it_does() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//!"),
            "{} does not open with //!",
            path.display()
        );
        let lines = text
            .split("#[cfg(test)]")
            .next()
            .unwrap_or(&text)
            .lines()
            .count();
        assert!(
            lines <= LONGEST_FILE,
            "{}: {lines} lines without its tests",
            path.display()
        );
    }
}
