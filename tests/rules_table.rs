//! The table of rules, printed from the tests that show them, and what must be true of it.
//!
//! `make rules` prints it (`cargo test --test rules_table -- --print`).

mod sources;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use sources::{c_tests, files_below, read, root, Test};

/// As many as were once counted: none is to be lost.
const FEWEST: usize = 615;

/// The Rust tests of a source that carry a rule in their doc comment, on one line.
fn rust_tests(file: &Path) -> Vec<Test> {
    let text = read(file);
    let mut lines = text.lines().map(str::trim_start);
    let mut tests = Vec::new();
    while let Some(line) = lines.next() {
        let Some(rule) = line.strip_prefix("/// Rule: ") else {
            continue;
        };
        let function = lines.find_map(|line| line.strip_prefix("fn ")?.split_once('('));
        let (name, _) = function.expect("a rule stands above a test");
        let rule = rule.trim_end_matches('.').to_owned();
        tests.push(Test {
            rule,
            name: name.to_owned(),
        });
    }
    tests
}

/// Every test that carries a rule with its file, ordered by the rule.
fn table() -> Vec<(Test, PathBuf)> {
    let below =
        |directory: &str, extensions: &[&str]| files_below(&root().join(directory), extensions);
    let mut tests = Vec::new();
    let mut add = |found: Vec<Test>, file: &Path| {
        let file = file.strip_prefix(root()).expect("below the root");
        tests.extend(found.into_iter().map(|test| (test, file.to_owned())));
    };
    for file in below("tests", &["c", "cpp"]) {
        add(c_tests(&file), &file);
    }
    for file in below("src", &["rs"]).union(&below("tests", &["rs"])) {
        add(rust_tests(file), file);
    }
    tests.sort();
    tests
}

fn print() {
    let tests = table();
    for (Test { rule, name }, file) in &tests {
        println!("{rule}\n    {}: {name}", file.display());
    }
    println!("{} rules", tests.len());
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds {
        Ok(())
    } else {
        Err(what().into())
    }
}

fn every_test_has_a_rule_with_a_subject() -> Result<(), Failed> {
    for (test, _) in table() {
        let parts = test.rule.split_once(": ");
        let is_whole = parts.is_some_and(|(subject, rule)| !subject.is_empty() && !rule.is_empty());
        check(is_whole, || format!("{test:?}: not \"subject: rule\""))?;
    }
    Ok(())
}

fn every_rule_and_every_name_is_there_once() -> Result<(), Failed> {
    let mut rules = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (test, _) in table() {
        check(rules.insert(test.rule.clone()), || {
            format!("{test:?}: another test has this rule")
        })?;
        check(names.insert(test.name.clone()), || {
            format!("{test:?}: another test has this name")
        })?;
    }
    Ok(())
}

fn no_rule_is_lost() -> Result<(), Failed> {
    let count = table().len();
    check(count >= FEWEST, || {
        format!("{count} rules, once there were {FEWEST}")
    })
}

/// A prototype begins in the first column; comments, fields and typedefs do not.
fn function(line: &str) -> Option<&str> {
    let is_prototype =
        line.starts_with(|first: char| first.is_ascii_lowercase()) && !line.starts_with("typedef");
    let (before, _) = line.split_once('(')?;
    before.rsplit([' ', '*']).next().filter(|_| is_prototype)
}

/// The programs that call every function: rightly, and with wrong handles and values.
const CALL_ALL: [&[&str]; 2] = [
    &["tests/c/abi/all_functions.c"],
    &[
        "tests/c/life/misuse_reaches_nobody.c",
        "tests/c/support/misused_calls.h",
    ],
];

fn all_functions_are_called() -> Result<(), Failed> {
    let header = read(&root().join("include/vconnpool.h"));
    let functions: Vec<&str> = header.lines().filter_map(function).collect();
    for files in CALL_ALL {
        let program: String = files.iter().map(|file| read(&root().join(file))).collect();
        for name in &functions {
            let is_called = program.contains(&format!("{name}("));
            check(is_called, || format!("{} does not call {name}", files[0]))?;
        }
    }
    check(functions.len() >= 57, || {
        format!("only {} functions found", functions.len())
    })
}

fn main() {
    if std::env::args().any(|argument| argument == "--print") {
        return print();
    }
    let arguments = Arguments::from_args();
    let tests = vec![
        Trial::test(
            "every_test_has_a_rule_with_a_subject",
            every_test_has_a_rule_with_a_subject,
        ),
        Trial::test(
            "every_rule_and_every_name_is_there_once",
            every_rule_and_every_name_is_there_once,
        ),
        Trial::test("no_rule_is_lost", no_rule_is_lost),
        Trial::test("all_functions_are_called", all_functions_are_called),
    ];
    libtest_mimic::run(&arguments, tests).exit();
}
