//! Compiles tests/cpp/*.cpp and the C++ example against vconnpool.hpp, as C++17 and C++20 and with every warning an error, and runs
//! the tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const WARNINGS: [&str; 6] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory with the library under its soname.
fn workshop() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cpp_programs");
        std::fs::create_dir_all(&directory).expect("the directory can be made");
        let test = std::env::current_exe().expect("the test has a path");
        let library = test.with_file_name("libvconnpool.so");
        assert!(library.exists(), "{} is missing", library.display());
        for name in ["libvconnpool.so", "libvconnpool.so.0"] {
            let link = directory.join(name);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&library, link).expect("a link can be made");
        }
        directory
    })
}

fn build(compiler: &str, standard: &str, source: &str, directory: &Path) -> PathBuf {
    let stem = Path::new(source)
        .file_stem()
        .expect("a name")
        .to_string_lossy();
    let program = directory.join(format!("{stem}-{compiler}-{standard}"));
    let mut command = Command::new(compiler);
    command
        .arg(format!("-std={standard}"))
        .args(WARNINGS)
        .args(["-g", "-O1", "-pthread", "-I"])
        .arg(root().join("include"))
        .arg("-o")
        .arg(&program)
        .arg(root().join(source))
        .arg("-L")
        .arg(directory)
        .arg("-lvconnpool")
        .arg(format!("-Wl,-rpath,{}", directory.display()));
    let built = command.output().expect("there is a C++ compiler");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success() && said.is_empty(),
        "{command:?}\n{said}"
    );
    program
}

/// clang++ where it is installed; `.ci/run` installs it.
fn compilers() -> Vec<&'static str> {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["c++", "clang++"].into_iter().filter(is_there).collect()
}

fn for_each_language(go: impl Fn(&str, &str)) {
    for compiler in compilers() {
        for standard in ["c++17", "c++20"] {
            go(compiler, standard);
        }
    }
}

fn check(name: &str) {
    let directory = workshop();
    let source = format!("tests/cpp/{name}.cpp");
    for_each_language(|compiler, standard| {
        let program = build(compiler, standard, &source, directory);
        let run = Command::new(&program).output().expect("it runs");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(
            run.status.success(),
            "{}: {}\n{said}",
            program.display(),
            run.status
        );
    });
}

macro_rules! programs {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )+

        #[test]
        fn every_program_is_in_the_list() {
            let listed: BTreeSet<String> = [$(stringify!($name)),+].map(str::to_owned).into();
            let files = std::fs::read_dir(root().join("tests/cpp")).expect("a directory can be read");
            let paths = files.map(|entry| entry.expect("an entry can be read").path());
            let sources = paths.filter(|path| path.extension().is_some_and(|end| end == "cpp"));
            let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
            assert_eq!(listed, sources.map(stem).collect());
        }
    };
}

programs! {
    both_forms,
    callbacks_and_times,
    owners_and_errors,
}

#[test]
fn the_example_is_clean() {
    for_each_language(|compiler, standard| {
        build(compiler, standard, "examples/c/pages.cpp", workshop());
    });
}
