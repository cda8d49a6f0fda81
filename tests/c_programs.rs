//! Compiles every C program below tests/c as C99 and as C++11 without a warning, links it with the
//! library, and runs it.
//!
//! `cargo test --test c_programs` runs all; names after `--` run those programs, or those TESTs
//! alone; part of a name runs every program and TEST that has it. `--nocapture` shows what the
//! programs print. The environment may set CC and CXX, VCP_C_PREFIX (put before the program, as
//! `valgrind -q --error-exitcode=99`), VCP_SLOW (widens the programs' upper bounds of time) and
//! VCP_C_TIMEOUT (seconds for one program, 120).

mod choice;
mod programs;
mod sources;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use choice::{command_line, Choice, Part};
use libtest_mimic::Trial;
use programs::{output_directory, run, stem, Build, Outcome};
use sources::{c_tests, files_below, read, root};

const WARNINGS: [&str; 5] = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The compiler that the environment names, or the system's.
fn compiler(variable: &str, default: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| default.into())
}

fn build(source: &Path, directory: &Path) -> Outcome<PathBuf> {
    let program = directory.join(stem(source));
    let as_cxx = directory.join(format!("{}.cxx", stem(source)));
    let languages = [
        (compiler("CXX", "c++"), ["-std=c++11", "-x", "c++"], &as_cxx),
        (compiler("CC", "cc"), ["-std=c99", "-x", "c"], &program),
    ];
    for (compiler, language, program) in languages {
        let flags = [&language[..], &WARNINGS[..]].concat();
        Build {
            compiler,
            flags: &flags,
            source,
            headers: &root().join("tests/c/support"),
            program,
        }
        .run()?;
    }
    Ok(program)
}

/// The example of tests/README.md as a program of its own; written only when it has changed.
fn readme_example(directory: &Path) -> PathBuf {
    let readme = read(&root().join("tests/README.md"));
    let (_, after) = readme.split_once("```c\n").expect("there is a C program");
    let (program, _) = after.split_once("```").expect("the program ends");
    let source = directory.join("readme_example.c");
    if fs::read_to_string(&source).ok().as_deref() != Some(program) {
        fs::write(&source, program).expect("the example can be written");
    }
    source
}

/// Twice as many as there are CPUs: the programs mostly wait. Under valgrind they do not.
fn at_once() -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if env::var_os("VCP_C_PREFIX").is_some() {
        cpus
    } else {
        2 * cpus
    }
}

/// Where the programs go, and whether what they print is shown.
struct Runner {
    directory: PathBuf,
    shows_output: bool,
}

impl Runner {
    fn check(&self, source: &Path, tests: &[String]) -> Outcome<()> {
        let said = run(&build(source, &self.directory)?, tests)?;
        if self.shows_output {
            println!("{said}");
        }
        Ok(())
    }
}

/// A test of this runner: those TESTs of a program, or all.
fn trial(name: String, source: &Path, tests: Vec<String>, runner: &Arc<Runner>) -> Trial {
    let (source, runner) = (source.to_owned(), Arc::clone(runner));
    Trial::test(name, move || Ok(runner.check(&source, &tests)?))
}

fn main() {
    let (words, mut arguments) = command_line();
    arguments.test_threads.get_or_insert_with(at_once);
    let directory = output_directory("c_programs");
    let mut files = files_below(&root().join("tests/c"), &["c"]);
    files.insert(readme_example(&directory));
    let named = files.iter().map(|file| (stem(file), c_tests(file)));
    let programs: Vec<_> = named.collect();
    let choice = Choice::new(words, &programs);
    let runner = Arc::new(Runner {
        directory,
        shows_output: arguments.nocapture,
    });
    let mut trials = Vec::new();
    for (source, (name, tests)) in files.iter().zip(&programs) {
        match choice.part_of(name, tests) {
            Part::Whole => {
                let folder = source.parent().map(stem).unwrap_or_default();
                trials.push(trial(name.clone(), source, Vec::new(), &runner).with_kind(folder));
            }
            Part::Tests(chosen) => trials.extend(chosen.into_iter().map(|test| {
                let title = format!("{name}: {}", test.name);
                trial(title, source, vec![test.name], &runner).with_kind(test.rule)
            })),
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
