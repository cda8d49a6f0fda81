//! Compiles every C++ program of tests/cpp and the C++ example against vconnpool.hpp, as C++17 and as C++20, with every
//! warning an error, by each compiler that is there, and runs the tests.
//!
//! `cargo test --test cpp_programs -- NAME` runs one program, or one TEST.

mod choice;
mod programs;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

use choice::{command_line, Choice, Part};
use libtest_mimic::{Failed, Trial};
use programs::{output_directory, run, stem, Build, Outcome};
use sources::{c_tests, files_below, root};

const WARNINGS: [&str; 6] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
];
const STANDARDS: [&str; 2] = ["c++17", "c++20"];

/// A compiler and a standard.
type Language = (&'static str, &'static str);

/// clang++ where it is installed; `.ci/run` installs it.
fn compilers() -> Vec<&'static str> {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["c++", "clang++"].into_iter().filter(is_there).collect()
}

fn build(language: Language, source: &Path, directory: &Path) -> Outcome<PathBuf> {
    let (compiler, standard) = language;
    let program = directory.join(format!("{}-{compiler}-{standard}", stem(source)));
    let standard = format!("-std={standard}");
    let flags = [&[standard.as_str()][..], &WARNINGS[..]].concat();
    let headers = &root().join("tests/c/support");
    let compiler = compiler.into();
    Build {
        compiler,
        flags: &flags,
        source,
        headers,
        program: &program,
    }
    .run()?;
    Ok(program)
}

/// One test of this runner for each compiler and standard: those TESTs of a program, or all.
fn trials(source: &Path, tests: &[String], directory: &Path) -> Vec<Trial> {
    in_each_language(source, |language| {
        let (source, directory) = (source.to_owned(), directory.to_owned());
        let tests = tests.to_owned();
        Box::new(move || {
            run(&build(language, &source, &directory)?, &tests)?;
            Ok(())
        })
    })
}

/// The example is only compiled: it wants a server.
fn builds(source: &Path, directory: &Path) -> Vec<Trial> {
    in_each_language(source, |language| {
        let (source, directory) = (source.to_owned(), directory.to_owned());
        Box::new(move || {
            build(language, &source, &directory)?;
            Ok(())
        })
    })
}

type Check = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

fn in_each_language(source: &Path, check: impl Fn(Language) -> Check) -> Vec<Trial> {
    let with_each = |compiler| STANDARDS.map(|standard| (compiler, standard));
    let languages = compilers().into_iter().flat_map(with_each);
    languages
        .map(|language| {
            let kind = format!("{} {}", language.0, language.1);
            Trial::test(stem(source), check(language)).with_kind(kind)
        })
        .collect()
}

fn main() {
    let (words, arguments) = command_line();
    let mut files = files_below(&root().join("tests/cpp"), &["cpp"]);
    let example = root().join("examples/c/pages.cpp");
    files.insert(example.clone());
    let named = files.iter().map(|file| (stem(file), c_tests(file)));
    let programs: Vec<_> = named.collect();
    let choice = Choice::new(words, &programs);
    let directory = output_directory("cpp_programs");
    let mut all = Vec::new();
    for (source, (name, tests)) in files.iter().zip(&programs) {
        all.extend(match choice.part_of(name, tests) {
            Part::Whole if *source == example => builds(source, &directory),
            Part::Whole => trials(source, &[], &directory),
            Part::Tests(chosen) if chosen.is_empty() => Vec::new(),
            Part::Tests(chosen) => {
                let names: Vec<String> = chosen.into_iter().map(|test| test.name).collect();
                trials(source, &names, &directory)
            }
        });
    }
    libtest_mimic::run(&arguments, all).exit();
}
