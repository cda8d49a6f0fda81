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

/// The build only warns where it cannot; here it must be able to.
#[test]
#[cfg(feature = "header")]
fn the_header_was_generated_from_the_source() {
    assert_eq!(option_env!("VCP_HEADER"), Some("generated"));
}

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

/// The manual's tools read it by its form: a list of codes begins each part.
#[test]
fn every_part_of_what_a_function_names_begins_with_a_code() {
    let header = header();
    let errors = declarations(&header)
        .into_iter()
        .filter_map(|(comment, _)| {
            let (_, errors) = comment.split_once(" * Errors: ")?;
            Some(errors.replace("\n * ", " "))
        });
    let errors: Vec<String> = errors.collect();
    let begins_well = |part: &&str| part.starts_with("VCP_ERR_") || part.starts_with("those of ");
    for text in &errors {
        let words = text.split("; ").filter(|part| part.contains("VCP_ERR_"));
        let strange: Vec<&str> = words.filter(|part| !begins_well(part)).collect();
        assert!(strange.is_empty(), "{strange:#?}");
    }
    assert!(errors.len() > 50, "{} functions", errors.len());
}

/// What the examples of the comments find around them.
const AROUND_EXAMPLES: &str = "#include <stdio.h>\n#include <string.h>\n#include \"vconnpool.h\"\n\
    void example(vcp_pool *pool, vcp_conn *conn, vcp_queue *queue);\n\
    void example(vcp_pool *pool, vcp_conn *conn, vcp_queue *queue)\n{\n\
    (void)pool, (void)conn, (void)queue;\n";

fn example_source(example: &str) -> String {
    let code: Vec<&str> = example
        .lines()
        .map(|line| line.strip_prefix(" *     ").unwrap_or_default())
        .collect();
    let code = code.join("\n");
    if code.starts_with("int ") {
        let (begin, _) = AROUND_EXAMPLES.split_once("void").expect("a function");
        let declaration = code.split_once("\n{").expect("a body").0;
        format!("{begin}{declaration};\n{code}\n")
    } else {
        format!("{AROUND_EXAMPLES}{code}\n}}\n")
    }
}

#[test]
fn the_examples_of_the_comments_compile() {
    let header = header();
    let examples = header.split(" * Example:\n *\n").skip(1);
    let examples: Vec<&str> = examples
        .map(|rest| rest.split_once("\n *\n * ").expect("an example ends").0)
        .collect();
    for example in &examples {
        let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example.c");
        std::fs::write(&source, example_source(example)).expect("it can be written");
        let mut command = Command::new(tool("CC", "cc"));
        command
            .args(["-x", "c", "-std=c99", "-fsyntax-only"])
            .args(STRICT);
        command.arg("-I").arg(root().join("include")).arg(&source);
        assert_success(&mut command);
    }
    assert!(examples.len() >= 6, "{} examples", examples.len());
}

#[test]
fn twelve_functions_and_eight_options_are_to_start_with() {
    let header = header();
    let marked = declarations(&header).into_iter();
    let marked = marked.filter(|(comment, _)| comment.contains("* START HERE. "));
    let (functions, options): (Vec<_>, Vec<_>) = marked.partition(|(_, code)| code.contains('('));
    assert_eq!((functions.len(), options.len()), (12, 8));
}
