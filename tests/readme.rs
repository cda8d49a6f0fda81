//! The README's first program compiles and does what the README says, and the README names the two
//! commands.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn page(name: &str) -> String {
    let path = Path::new(ROOT).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pieces of C on a page, in their order.
fn pieces_of_c(page: &str) -> Vec<&str> {
    let after = page.split("```c\n").skip(1);
    after
        .map(|rest| rest.split_once("```").expect("a piece ends").0)
        .collect()
}

fn first_program() -> String {
    let readme = page("README.md");
    let pieces = pieces_of_c(&readme);
    (*pieces.first().expect("there is a C program")).to_owned()
}

/// An empty directory with the link `libvconnpool.so.0` to the library that cargo built for this
/// test.
fn directory_with_library(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory can be made");
    let test = std::env::current_exe().expect("this program has a path");
    let library = test.with_file_name("libvconnpool.so");
    assert!(library.exists(), "{} is missing", library.display());
    symlink(library, directory.join("libvconnpool.so.0")).expect("a link can be made");
    directory
}

/// `flags`: the language, and where headers lie.
fn compile(source: &Path, directory: &Path, flags: &[&str]) -> PathBuf {
    let program = directory.join("program");
    let output = Command::new("cc")
        .args(flags)
        .args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-pthread",
            "-I",
        ])
        .arg(Path::new(ROOT).join("include"))
        .arg(source)
        .args(["-x", "none"])
        .arg(directory.join("libvconnpool.so.0"))
        .arg(format!("-Wl,-rpath,{}", directory.display()))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("cc can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

fn compiled(name: &str) -> PathBuf {
    let directory = directory_with_library(name);
    let source = directory.join("hello.c");
    fs::write(&source, first_program()).expect("the program can be written");
    compile(&source, &directory, &["-std=c99"])
}

fn run(program: &Path, address: &str) -> Output {
    Command::new(program)
        .arg(address)
        .output()
        .expect("the program can be started")
}

#[test]
fn the_first_program_dials_once_and_reuses_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let output = run(&compiled("readme-reuse"), &address);
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let words: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    assert_eq!(words, ["dialed", "reused", "reused"], "{text}");
    assert!(output.status.success());
}

#[test]
fn the_first_program_says_why_it_fails_when_nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let listening = listener.local_addr().expect("it is bound");
    // A client's own port: taken as long as the client lives, but nobody listens there.
    let client = TcpStream::connect(listening).expect("it listens");
    let address = client.local_addr().expect("it is bound").to_string();
    let output = run(&compiled("readme-refused"), &address);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("it prints UTF-8");
    assert_eq!(message, format!("dial tcp {address}: connection refused\n"));
}

#[test]
fn the_first_program_has_15_lines() {
    assert_eq!(first_program().lines().count(), 15);
}

#[test]
fn both_commands_are_named() {
    let readme = page("README.md");
    for command in ["make -C examples/c run", "cargo test"] {
        assert!(
            readme.lines().any(|line| line == command),
            "`{command}` is no line of the README"
        );
    }
}
