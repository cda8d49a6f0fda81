//! The defects that tests/planted builds in are in no build that did not ask for one by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("the file can be read")
}

/// Every name that begins with plant- and stands between quotes.
fn planted_in(text: &str) -> BTreeSet<String> {
    let parts = text.split('"').filter(|part| part.starts_with("plant-"));
    parts.map(str::to_owned).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The features that Cargo.toml declares for defects.
fn declared() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let features = manifest.lines().filter(|line| line.ends_with("= []"));
    let names = features.filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    names
        .filter(|name| name.starts_with("plant-"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_feature_brings_a_planted_defect_along() {
    assert_eq!(planted_in(&read("Cargo.toml")), BTreeSet::new());
}

#[test]
fn every_defect_in_the_source_is_declared_and_looked_for() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut in_source = BTreeSet::new();
    for file in files {
        in_source.append(&mut planted_in(
            &fs::read_to_string(file).expect("a source"),
        ));
    }
    assert_eq!(in_source, declared());
    let mut looked_for = BTreeSet::new();
    for (runner, list, prefix) in [
        ("tests/planted/run", "all=(", "plant-"),
        ("tests/simulation/run", "for planted in ", ""),
    ] {
        let text = read(runner);
        let names = text.lines().find_map(|line| line.strip_prefix(list));
        let names = names.unwrap_or_else(|| panic!("{runner} lists none"));
        let names = names.trim_end_matches("; do").trim_end_matches(')');
        looked_for.extend(names.split(' ').map(|name| format!("{prefix}{name}")));
    }
    assert_eq!(looked_for, declared());
}

#[test]
fn what_is_shipped_is_built_without_features() {
    let makefile = read("Makefile");
    let build = makefile
        .lines()
        .find(|line| line.contains("rustc --release"));
    let build = build.expect("make builds the library");
    assert!(build.contains("--no-default-features"));
    assert!(!makefile.contains("plant-"));
    let script = read("build.rs");
    assert!(
        script.contains("refuse_planted_defects();"),
        "build.rs looks for them"
    );
}
