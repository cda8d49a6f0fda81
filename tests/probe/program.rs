//! vcp-probe as a process: compiled once, run with pipes, with a terminal, and interrupted.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What it printed, and how it ended; no status if a signal ended it.
pub(crate) struct Run {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: Option<i32>,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).expect("it prints UTF-8"),
            err: String::from_utf8(output.stderr).expect("it prints UTF-8"),
            status: output.status.code(),
        }
    }
}

pub(crate) fn text_of(name: &str) -> String {
    let path = Path::new(ROOT).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An empty directory for files of a test.
pub(crate) fn empty_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory can be made");
    directory
}

/// The C files of the program.
fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join("examples/c")).expect("it can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let is_source = |path: &PathBuf| {
        let name = path.file_name().expect("an entry has a name");
        let name = name.to_string_lossy();
        name.starts_with("vcp_probe") && name.ends_with(".c")
    };
    paths.filter(is_source).collect()
}

/// Compiles as the Makefile of the examples does, and with these flags; the library lies beside the
/// program.
fn compiled(name: &str, flags: &[&str], sources: &[PathBuf]) -> PathBuf {
    let directory = empty_directory(name);
    let test = std::env::current_exe().expect("this program has a path");
    let library = test.with_file_name("libvconnpool.so");
    assert!(library.exists(), "{} is missing", library.display());
    let link = directory.join("libvconnpool.so.0");
    symlink(library, &link).expect("a link can be made");
    let program = directory.join(name);
    let output = Command::new("cc")
        .args(["-std=c99", "-O1", "-g", "-pthread"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"])
        .args(flags)
        .arg(format!("-I{ROOT}/include"))
        .arg(format!("-I{ROOT}/examples/c"))
        .args(sources)
        .arg(link)
        .arg(format!("-Wl,-rpath,{}", directory.display()))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("cc can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    program
}

/// The C compiler has ThreadSanitizer. Some systems have it as a package of its own.
pub(crate) fn has_thread_sanitizer() -> bool {
    let source = empty_directory("thread-sanitizer").join("nothing.c");
    fs::write(&source, "int main(void) { return 0; }\n").expect("a file can be written");
    let mut command = Command::new("cc");
    command
        .arg("-fsanitize=thread")
        .arg(&source)
        .arg("-o")
        .arg(source.with_extension(""));
    let output = command.output().expect("cc can be started");
    output.status.success() || std::env::var_os("VCP_NEEDS_ALL").is_some()
}

/// In the C locale, so that what it prints is ASCII. cargo's own library path may hold another
/// build of the library.
fn command(arguments: &[&str]) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| compiled("vcp-probe", &[], &sources()));
    command_of(program, arguments)
}

fn command_of(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("COLUMNS")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Who began the tests may have had a signal ignored, as a shell does for what runs in its
    // background, and programs inherit that.
    // SAFETY: signal(2) is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

fn started(command: &mut Command) -> Child {
    command.spawn().expect("the program can be started")
}

fn ended(child: Child) -> Run {
    let output = child.wait_with_output();
    output.expect("a child can be waited for").into()
}

pub(crate) fn probe(arguments: &[&str]) -> Run {
    ended(started(&mut command(arguments)))
}

/// The program while it runs, whose output is read at its end. It does not outlive its test.
pub(crate) struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
        }
    }
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self(Some(started(&mut command(arguments))))
    }

    /// As a shell's job that must not hear of the keyboard.
    pub(crate) fn start_ignoring(signal: i32, arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        // SAFETY: signal(2) is safe between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::signal(signal, libc::SIG_IGN);
                Ok(())
            });
        }
        Self(Some(started(&mut command)))
    }

    /// ThreadSanitizer watches the files of the program. What the library does, which is not
    /// compiled for it, it leaves out.
    pub(crate) fn start_watched(arguments: &[&str]) -> Self {
        let program = compiled("vcp-probe-watched", &["-fsanitize=thread"], &sources());
        let list = program.with_file_name("suppressions");
        let library = "called_from_lib:libvconnpool.so.0\n";
        fs::write(&list, library).expect("a file can be written");
        let mut command = command_of(&program, arguments);
        command.env(
            "TSAN_OPTIONS",
            format!("suppressions={} exitcode=66", list.display()),
        );
        // SAFETY: personality(2) is safe between fork and exec. ThreadSanitizer of gcc before 14
        // knows no addresses as random as some kernels make them.
        unsafe {
            command.pre_exec(|| {
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                Ok(())
            });
        }
        Self(Some(started(&mut command)))
    }

    /// Its standard error is a terminal that takes nothing, as after ctrl-S: it cannot end. Gives
    /// that terminal, too.
    pub(crate) fn start_before_a_stopped_terminal(arguments: &[&str]) -> (Self, File) {
        let (person, end) = terminal(80);
        // SAFETY: tcflow(3) of a terminal's descriptor.
        assert_eq!(unsafe { libc::tcflow(end.as_raw_fd(), libc::TCOOFF) }, 0);
        let child = started(command(arguments).stderr(end));
        (Self(Some(child)), person)
    }

    fn process(&self) -> i32 {
        let child = self.0.as_ref().expect("it runs");
        i32::try_from(child.id()).expect("a process number")
    }

    pub(crate) fn send(&self, signal: i32) {
        // SAFETY: kill(2) of a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.process(), signal) }, 0);
    }

    /// It has a handler for that signal.
    fn catches(&self, signal: i32) -> bool {
        let path = format!("/proc/{}/status", self.process());
        let status = fs::read_to_string(path).expect("the kernel tells");
        let mut lines = status.lines();
        let mask = lines.find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = u64::from_str_radix(mask.expect("a mask").trim(), 16);
        mask.expect("a number") >> (signal - 1) & 1 == 1
    }

    pub(crate) fn await_no_handler(&self, signal: i32) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.catches(signal) {
            assert!(Instant::now() < end, "signal {signal} is still caught");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn end(mut self) -> Run {
        ended(self.0.take().expect("it runs"))
    }
}

/// Its output goes there, through a buffer of that size.
pub(crate) fn with_output_to(path: &str, buffer: &str, arguments: &[&str]) -> Run {
    let file = File::options().write(true).open(path);
    let own = command(arguments);
    let mut command = command_of(Path::new("stdbuf"), &["-o", buffer]);
    command
        .arg(own.get_program())
        .args(arguments)
        .stdout(file.expect("it can be opened"));
    ended(started(&mut command))
}

/// The two ends of a terminal that is so wide: a person's, and a program's.
fn terminal(columns: u16) -> (File, OwnedFd) {
    let (mut person, mut program) = (-1, -1);
    let size = libc::winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let (none, no_modes) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: openpty(3) writes two descriptors, which nobody else has.
    unsafe {
        let made = libc::openpty(&mut person, &mut program, none, no_modes, &size);
        assert_eq!(made, 0, "a terminal can be made");
        (File::from_raw_fd(person), OwnedFd::from_raw_fd(program))
    }
}

/// Everything that it shows in a UTF-8 terminal of that width.
pub(crate) fn in_terminal(columns: u16, arguments: &[&str]) -> String {
    let (mut person, end) = terminal(columns);
    let mut command = command(arguments);
    command
        .env("LC_ALL", "C.UTF-8")
        .stdout(end.try_clone().expect("a descriptor can be copied"))
        .stderr(end);
    let child = started(&mut command);
    drop(command); // it has the program's end of the terminal
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match person.read(&mut piece) {
            Ok(0) => break,
            Ok(size) => said.extend_from_slice(&piece[..size]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break, // EIO: the other end is closed
        }
    }
    assert_eq!(ended(child).status, Some(0));
    String::from_utf8(said).expect("it prints UTF-8")
}

/// What the histogram of the program says of these times: count, min, p50, p90, p99, p99.9, max.
pub(crate) fn histogram(times: &[u64]) -> Vec<u64> {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let own = Path::new(ROOT).join("tests/probe/percentiles.c");
        let its = Path::new(ROOT).join("examples/c/vcp_probe_histogram.c");
        compiled("percentiles", &[], &[own, its])
    });
    let lines: Vec<_> = times.iter().map(u64::to_string).collect();
    let said = told(&mut command_of(program, &[]), &lines.join("\n"));
    let numbers = said.lines().map(|line| line.parse().expect("a number"));
    numbers.collect()
}

/// What the program prints of such times: lines of a kind and nanoseconds.
pub(crate) fn printed(form: &str, times: &str) -> String {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let mut files = sources();
        files.retain(|path| !path.ends_with("vcp_probe.c"));
        files.push(Path::new(ROOT).join("tests/probe/results.c"));
        compiled("results", &[], &files)
    });
    told(&mut command_of(program, &[form]), times)
}

/// Looks at the clock in the times of the dial and the whole of a fresh request and three over the
/// pool.
pub(crate) fn looks_at_the_clock(address: &str) -> String {
    let own = Path::new(ROOT).join("tests/probe/looks.c");
    let its = Path::new(ROOT).join("examples/c/vcp_probe_request.c");
    let program = compiled("looks", &[], &[own, its]);
    let run = ended(started(&mut command_of(&program, &[address])));
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    run.out
}

/// What it prints when it has read that.
fn told(command: &mut Command, text: &str) -> String {
    let mut child = started(command.stdin(Stdio::piped()));
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    ended(child).out
}
