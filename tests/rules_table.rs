//! docs/rules.md is true: every test it names exists, every test in tests/c and tests/cpp stands in it, and all_functions.c calls every
//! function of the header.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// (file, test), as the last column of the table has them.
fn table() -> Vec<(String, String)> {
    let text = read(&root().join("docs/rules.md"));
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| section"));
    rows.map(|row| {
        let columns: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, test] = columns[..] else {
            panic!("not three columns: {row}");
        };
        let (file, name) = test
            .trim_matches('`')
            .split_once(": ")
            .unwrap_or_else(|| panic!("no \"file: test\" in {row}"));
        (file.to_owned(), name.to_owned())
    })
    .collect()
}

fn files_below(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// What stands between `open` and the next `close`, wherever `open` begins a line.
fn names<'a>(text: &'a str, open: &str, close: char) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(open)?.split_once(close))
        .map(|(name, _)| name)
        .collect()
}

/// (file, test) of every TEST in that directory.
fn c_tests(directory: &str) -> BTreeSet<(String, String)> {
    let mut files = Vec::new();
    for extension in ["c", "cpp"] {
        files_below(&root().join(directory), extension, &mut files);
    }
    let mut tests = BTreeSet::new();
    for file in files {
        let short = file
            .strip_prefix(root())
            .expect("below the root")
            .to_string_lossy()
            .into_owned();
        for name in names(&read(&file), "TEST(", ')') {
            tests.insert((short.clone(), name.to_owned()));
        }
    }
    tests
}

/// Those that `cargo test` runs.
fn local_c_tests() -> BTreeSet<(String, String)> {
    let mut tests = c_tests("tests/c");
    tests.append(&mut c_tests("tests/cpp"));
    tests
}

#[test]
fn every_test_in_the_table_exists() {
    let mut c_tests = local_c_tests();
    c_tests.append(&mut self::c_tests("tests/network"));
    for (file, name) in table() {
        if file.ends_with(".c") || file.ends_with(".cpp") {
            assert!(
                c_tests.contains(&(file.clone(), name.clone())),
                "no TEST({name}) in {file}"
            );
        } else {
            let text = read(&root().join(&file));
            assert!(
                names(&text, "fn ", '(').contains(&name.as_str()),
                "no fn {name} in {file}"
            );
        }
    }
}

#[test]
fn every_c_test_is_in_the_table() {
    let listed: BTreeSet<(String, String)> = table().into_iter().collect();
    let missing: Vec<_> = local_c_tests().difference(&listed).cloned().collect();
    assert!(missing.is_empty(), "not in docs/rules.md: {missing:#?}");
}

#[test]
fn every_row_is_there_once() {
    let rows = table();
    let unique: BTreeSet<_> = rows.iter().collect();
    assert_eq!(rows.len(), unique.len());
    assert!(rows.len() >= 110, "{} rows", rows.len());
}

/// A TEST that is not RUN would be dead text; the compiler says so too (unused function).
#[test]
fn every_c_test_is_run() {
    for (file, name) in local_c_tests() {
        let text = read(&root().join(&file));
        assert!(
            text.contains(&format!("RUN({name});")),
            "{file}: {name} is never run"
        );
    }
}

#[test]
fn all_functions_are_called() {
    let header = read(&root().join("include/vconnpool.h"));
    let program = read(&root().join("tests/c/abi/all_functions.c"));
    let mut count = 0;
    for line in header.lines() {
        // A prototype begins in the first column; comments, fields and typedefs do not.
        if !line.starts_with(|first: char| first.is_ascii_lowercase())
            || line.starts_with("typedef")
        {
            continue;
        }
        let Some((before, _)) = line.split_once('(') else {
            continue;
        };
        let name = before.rsplit([' ', '*']).next().expect("a name");
        assert!(
            program.contains(&format!("{name}(")),
            "all_functions.c does not call {name}"
        );
        count += 1;
    }
    assert!(count >= 57, "only {count} functions found in the header");
}
