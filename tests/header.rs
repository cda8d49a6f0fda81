//! The header as a compiler sees it, and the library as a linker does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn assert_success(command: &mut Command) {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}

/// The library that cargo built for this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.parent()
        .expect("in a directory")
        .join("libvconnpool.so")
}

fn tool(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];

#[test]
fn the_header_compiles_alone_as_every_c_and_cxx() {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("header_alone.c");
    std::fs::write(
        &source,
        "#include \"vconnpool.h\"\n#include \"vconnpool.h\"\ntypedef int not_empty;\n",
    )
    .expect("the temporary directory is writable");
    let cc = tool("CC", "cc");
    let cxx = tool("CXX", "c++");
    let languages = [
        (&cc, "c", "c99"),
        (&cc, "c", "c11"),
        (&cc, "c", "c17"),
        (&cxx, "c++", "c++11"),
        (&cxx, "c++", "c++17"),
        (&cxx, "c++", "c++20"),
    ];
    for (compiler, language, standard) in languages {
        let mut command = Command::new(compiler);
        command.args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"]);
        command
            .args(STRICT)
            .arg("-I")
            .arg(root().join("include"))
            .arg(&source);
        assert_success(&mut command);
    }
}

#[test]
fn only_vcp_symbols_are_exported() {
    let mut nm = Command::new(tool("NM", "nm"));
    let output = run(nm
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(library()));
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let foreign: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("vcp_"))
        .collect();
    assert!(foreign.is_empty(), "exported: {foreign:?}");
    let header =
        std::fs::read_to_string(root().join("include/vconnpool.h")).expect("the header is text");
    for name in &names {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is not in the header"
        );
    }
    let declared = header.matches("vcp_").count();
    assert!(
        names.len() > 55 && declared > names.len(),
        "{} functions",
        names.len()
    );
}

#[test]
fn the_library_has_its_soname_and_stays_loaded() {
    let mut readelf = Command::new(tool("READELF", "readelf"));
    let output = run(readelf.arg("-d").arg(library()));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("libvconnpool.so.0"), "{text}");
    assert!(text.contains("NODELETE"), "{text}");
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/vconnpool.h")).expect("the header is text")
}

/// What stands before each declaration: its comment, and the line that it begins with.
fn declarations(header: &str) -> Vec<(&str, &str)> {
    let comments = header.split("/**\n").skip(1);
    let parts = comments.filter_map(|rest| rest.split_once("*/\n"));
    parts
        .map(|(comment, code)| (comment, code.trim_start().lines().next().unwrap_or("")))
        .collect()
}

/// Whose negative result is no vcp_status, or who cannot fail.
const WITHOUT_ERRORS: [&str; 3] = ["vcp_last_errno(", "vcp_last_phase(", "vcp_now_ms("];

#[test]
fn every_function_names_its_errors() {
    let header = header();
    let returns_status = |code: &str| code.starts_with("int ") || code.starts_with("int64_t vcp");
    let functions = declarations(&header).into_iter().filter(|(_, code)| {
        returns_status(code)
            && code.contains('(')
            && !WITHOUT_ERRORS.iter().any(|n| code.contains(n))
    });
    let silent: Vec<&str> = functions
        .filter(|(comment, _)| !comment.contains(" * Errors:"))
        .map(|(_, code)| code)
        .collect();
    assert!(silent.is_empty(), "no errors named: {silent:#?}");
}

#[test]
fn twelve_functions_and_eight_options_are_to_start_with() {
    let header = header();
    let marked = declarations(&header).into_iter();
    let marked = marked.filter(|(comment, _)| comment.contains("* START HERE. "));
    let (functions, options): (Vec<_>, Vec<_>) = marked.partition(|(_, code)| code.contains('('));
    assert_eq!((functions.len(), options.len()), (12, 8));
}
