//! The code of a page at work: what it shows is compiled and run, and what it prints is what the
//! page says.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::page::{self, Block, Page};
use super::server;
use crate::programs::{output_directory, run, Build, Outcome};
use crate::sources::{files_below, read, root};

/// Commands that no test runs as they stand, and why.
pub(crate) const NOT_RUN: [(&str, &str); 3] = [
    (
        "python3 -m http.server --protocol HTTP/1.1 8080 &",
        "the runner's own server stands at localhost:8080",
    ),
    (
        "./https example.org:443 /etc/ssl/certs/ca-certificates.crt",
        "needs a network; tests/drivers/openssl.sh runs it with a server of its own",
    ),
    (
        "./accounts unix /run/postgresql/.s.PGSQL.5432 dbname=shop",
        "needs PostgreSQL; tests/drivers/postgres.sh runs it with one of its own",
    ),
];

/// What stands in the pages for the address of a server.
const SERVER: &str = "localhost:8080";

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
/// Libraries stand before the source.
const LINK_ALL: [&str; 1] = ["-Wl,--no-as-needed"];
const AS_C: [&str; 2] = ["-std=c99", "-xc"];
const AS_CXX: [&str; 2] = ["-std=c++11", "-xc++"];
const AS_CXX_17: [&str; 2] = ["-std=c++17", "-xc++"];
const AS_CXX_23: [&str; 2] = ["-std=c++2b", "-xc++"];
/// Pages whose pieces of C++ are of C++23.
const NEWER: [&str; 1] = ["cpp"];

/// Compiles and runs all that a page shows. Returns what was printed.
pub(crate) fn check(page: &Page, packages: &[String]) -> Outcome<String> {
    let blocks = page.blocks()?;
    let directory = output_directory(&format!("guide/{}", page.name()));
    let mut said = run_companion(page, "c", &directory, packages)?;
    said.push_str(&run_companion(page, "cpp", &directory, packages)?);
    write_programs(&blocks, &directory, packages)?;
    said.push_str(&run_commands(&blocks, &directory)?);
    let shown = blocks.iter().filter(|block| block.language == "text");
    for block in shown {
        if !says(&said, &block.text) {
            return Err(format!("the page shows\n{}\nprinted:\n{said}", block.text));
        }
    }
    Ok(said)
}

fn compile(source: &Path, program: &Path, language: &[&str], packages: &[String]) -> Outcome<()> {
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let flags = [
        language,
        &WARNINGS,
        &["-D_GNU_SOURCE"],
        &LINK_ALL,
        &packages,
    ]
    .concat();
    let compiler = if language[1] == "-xc" { "cc" } else { "c++" };
    Build {
        compiler: OsString::from(compiler),
        flags: &flags,
        source,
        headers: &root().join("tests/c/support"),
        program,
    }
    .run()
}

/// The pieces of code of a page that are no whole programs, joined.
fn pieces(page: &Page, language: &str) -> Outcome<String> {
    let blocks = page.blocks()?.into_iter();
    let pieces = blocks.filter(|block| block.file_name().is_none() && block.language == language);
    Ok(pieces.map(|block| block.text).collect())
}

/// How a source includes the pieces of a page.
fn include_of(page: &Page, language: &str) -> String {
    let end = if language == "c" { "h" } else { "hpp" };
    format!("#include \"{}.{end}\"\n", page.name())
}

/// A source with the pieces of pages in the place of `#include "PAGE.h"`, and with the headers that
/// lie beside it. So it changes with all that it is made of.
fn with_pieces(source: &str, language: &str) -> Outcome<String> {
    let mut source = source.to_owned();
    for page in page::all() {
        let include = include_of(&page, language);
        if source.contains(&include) {
            source = source.replace(&include, &pieces(&page, language)?);
        }
    }
    for header in files_below(&root().join("tests/pages"), &["h"]) {
        let name = header.file_name().expect("a file has a name");
        let include = format!("#include \"{}\"\n", name.to_string_lossy());
        source = source.replace(&include, &read(&header));
    }
    Ok(source)
}

/// Builds and runs tests/pages/PAGE.c or PAGE.cpp, which puts the pieces of its page to work, and
/// those of other pages that it includes.
fn run_companion(
    page: &Page,
    language: &str,
    directory: &Path,
    packages: &[String],
) -> Outcome<String> {
    let companions = files_below(&root().join("tests/pages"), &[language]);
    let include = include_of(page, language);
    let is_included = companions.iter().any(|one| read(one).contains(&include));
    if is_included == pieces(page, language)?.is_empty() {
        return Err(format!("pieces, or {include} in tests/pages, but not both"));
    }
    let companion = root().join(format!("tests/pages/{}.{language}", page.name()));
    if !companions.contains(&companion) {
        return Ok(String::new());
    }
    let source = directory.join(format!("companion.{language}"));
    write(&source, &with_pieces(&read(&companion), language)?);
    let program = directory.join(format!("companion-of-{language}"));
    if language == "cpp" {
        let is_newer = NEWER.contains(&page.name());
        let standard = if is_newer { &AS_CXX_23 } else { &AS_CXX_17 };
        compile(&source, &program, standard, packages)?;
    } else {
        compile(&source, &program.with_extension("cxx"), &AS_CXX, packages)?;
        compile(&source, &program, &AS_C, packages)?;
    }
    run(&program, &[])
}

/// Whole programs are saved under their names, and compiled with every warning an error.
fn write_programs(blocks: &[Block], directory: &Path, packages: &[String]) -> Outcome<()> {
    for block in blocks {
        let Some(name) = block.file_name() else {
            continue;
        };
        let source = directory.join(name);
        write(&source, &block.text);
        let language = if name.ends_with(".c") {
            &AS_C
        } else {
            &AS_CXX_17
        };
        compile(
            &source,
            &source.with_extension("strict"),
            language,
            packages,
        )?;
    }
    Ok(())
}

/// The commands of a page as one script, as if the library were installed. Returns what it printed.
fn run_commands(blocks: &[Block], directory: &Path) -> Outcome<String> {
    let commands = blocks.iter().filter(|block| block.language == "sh");
    let lines = commands.flat_map(|block| block.text.lines());
    let lines: Vec<&str> = lines
        .filter(|line| NOT_RUN.iter().all(|(command, _)| command != line))
        .collect();
    if lines.is_empty() {
        return Ok(String::new());
    }
    let here = directory.display();
    let headers = root().join("include");
    write(
        &directory.join("vconnpool.pc"),
        &format!(
            "Name: vconnpool\nDescription: as installed\nVersion: 0.1\nCflags: -I{}\n\
             Libs: -L{here} -lvconnpool -Wl,-rpath,{here}\n",
            headers.display()
        ),
    );
    let commands = lines.join("\n").replace(
        SERVER,
        &SERVER.replace("8080", &server::start().to_string()),
    );
    let script = directory.join("commands.sh");
    write(
        &script,
        &format!(
            "#!/usr/bin/env bash\nset -euo pipefail\ncd '{here}'\n\
             export PKG_CONFIG_PATH='{here}'\n{commands}\n"
        ),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it was written");
    run(&script, &[])
}

/// Leaves a file alone that is as it should be: what was built of it then stays built.
fn write(path: &PathBuf, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).expect("a file can be written");
    }
}

/// Numbers and runs of blanks are aside.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for one in line.trim().chars() {
        let one = if one.is_ascii_digit() { '0' } else { one };
        let repeats = (one == '0' || one == ' ') && plain.ends_with(one);
        plain.extend((!repeats).then_some(one));
    }
    plain
}

/// Whether the lines of a page stand in what was printed, in their order and side by side; between
/// those above a line "..." and those below it there may be others.
pub(crate) fn says(printed: &str, shown: &str) -> bool {
    let printed: Vec<String> = printed.lines().map(plain).collect();
    let shown: Vec<String> = shown.lines().map(plain).collect();
    let mut from = 0;
    shown.split(|line| line == "...").all(|part| {
        let found = (from..=printed.len()).find(|&at| printed[at..].starts_with(part));
        from = found.map_or(from, |at| at + part.len());
        found.is_some()
    })
}
