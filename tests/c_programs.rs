//! Compiles every tests/c/*/*.c as C99 and as C++11 without a warning, links it with the library, and runs it.
//!
//! Each program is a test of its own here; the list must be what the directory holds. The environment may set
//! CC and CXX, VCP_C_PREFIX (put before the C program, as `valgrind -q --error-exitcode=99`), VCP_SLOW (widens the
//! programs' upper bounds of time, see check.h) and VCP_C_TIMEOUT (seconds for one program, 120).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

const WARNINGS: [&str; 5] = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c")
}

/// Every program, whatever its subject.
fn programs() -> BTreeSet<PathBuf> {
    let entries = |directory: &Path| fs::read_dir(directory).expect("a directory can be read");
    entries(&sources())
        .flat_map(|folder| entries(&folder.expect("an entry can be read").path()))
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect()
}

fn source(name: &str) -> PathBuf {
    let all = programs();
    let found = all
        .into_iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == name));
    found.unwrap_or_else(|| panic!("{name} is in no folder"))
}

/// Where the programs go, with the library beside them under its soname.
fn workshop() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_programs");
        fs::create_dir_all(&directory).expect("the directory can be made");
        let test = env::current_exe().expect("the test has a path");
        let library = test
            .parent()
            .expect("the test lies in deps")
            .join("libvconnpool.so");
        assert!(library.exists(), "{} is missing", library.display());
        for name in ["libvconnpool.so", "libvconnpool.so.0"] {
            point(&directory.join(name), &library);
        }
        directory
    })
}

/// Makes or moves a symbolic link.
fn point(link: &Path, target: &Path) {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{link:?}: {error}"),
        _ => std::os::unix::fs::symlink(target, link).expect("a link can be made"),
    }
}

fn compiler(variable: &str, default: &str) -> Command {
    Command::new(env::var_os(variable).unwrap_or_else(|| default.into()))
}

/// Compiles and links; a warning is an error.
fn build(mut compiler: Command, language: &[&str], name: &str, suffix: &str) -> PathBuf {
    let program = workshop().join(format!("{name}{suffix}"));
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut rpath = OsString::from("-Wl,-rpath,");
    rpath.push(workshop());
    compiler
        .args(language)
        .args(WARNINGS)
        .args(["-g", "-O1", "-pthread", "-I"])
        .arg(include)
        .arg("-I")
        .arg(sources().join("support"))
        .arg("-o")
        .arg(&program)
        .arg(source(name))
        // What follows is no source text.
        .args(["-x", "none", "-L"])
        .arg(workshop())
        .args(["-lvconnpool"])
        .arg(rpath);
    let output = compiler.output().expect("the compiler can be run");
    assert!(
        output.status.success(),
        "{compiler:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

fn prefixed(program: &Path) -> Command {
    let prefix = env::var("VCP_C_PREFIX").unwrap_or_default();
    let mut words = prefix.split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    }
}

fn timeout() -> Duration {
    let seconds = env::var("VCP_C_TIMEOUT").map_or(120, |text| {
        text.parse().expect("VCP_C_TIMEOUT is a number of seconds")
    });
    Duration::from_secs(seconds)
}

/// Runs it in a process group of its own, which is killed when its time is up. `None`: it was.
fn run(program: &Path, log: &Path) -> Option<ExitStatus> {
    let output = fs::File::create(log).expect("a log can be written");
    let mut child = prefixed(program)
        // cargo's own paths would come before the program's rpath, and may hold another build of the library.
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a descriptor can be copied"))
        .stderr(output)
        .process_group(0)
        .spawn()
        .expect("the program can be started");
    let end = Instant::now() + timeout();
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let group = -i32::try_from(child.id()).expect("a process number");
    // SAFETY: kill(2) of the group that was made for this child, which has not been waited for.
    unsafe { libc::kill(group, libc::SIGKILL) };
    child.wait().expect("a child can be waited for");
    None
}

fn check(name: &str) {
    build(
        compiler("CXX", "c++"),
        &["-std=c++11", "-x", "c++"],
        name,
        ".cxx",
    );
    let program = build(compiler("CC", "cc"), &["-std=c99", "-x", "c"], name, "");
    let log = program.with_extension("log");
    let status = run(&program, &log);
    let text = String::from_utf8_lossy(&fs::read(&log).expect("the log can be read")).into_owned();
    // Shown by `cargo test -- --nocapture`, and whenever the test fails.
    println!("{text}");
    let status = status.unwrap_or_else(|| panic!("{name}: no end after {:?}", timeout()));
    assert!(
        status.success(),
        "{name}: {}",
        status
            .signal()
            .map_or_else(|| status.to_string(), |signal| format!("signal {signal}"))
    );
}

/// One test for each program.
macro_rules! programs {
    ($($name:ident),* $(,)?) => {
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

programs! {
    a_child_has_pools_of_its_own,
    addresses_join_the_race_as_they_come,
    addresses_mean_what_the_contract_says,
    all_functions,
    async_at_random,
    background_watch,
    callbacks_steer_the_dial,
    closing_a_pool_keeps_its_promises,
    contract_facts,
    corners_of_the_kernel,
    dials_that_do_not_block,
    dials_that_wait_for_a_thread,
    dials_race_as_rfc_8305_says,
    eight_threads_fight_for_four,
    errors_name_what_went_wrong,
    events_tell_what_happens,
    every_network_can_be_dialed,
    failures_are_remembered,
    forks_in_a_crowd,
    go_library_defects,
    go_library_scenarios,
    handles_are_never_dereferenced,
    hits_without_the_pools_lock,
    hooks_keep_their_promises,
    idle_connections_are_dialed_ahead,
    idle_connections_are_reused_in_order,
    life_ends_at_baseline,
    lifetimes_and_uses,
    limits_hold,
    liveness_never_hands_out_dead_or_dirty,
    names_are_looked_up_once,
    names_that_hang_hold_nobody_up,
    options_follow_the_size_rule,
    out_of_descriptors,
    pools_are_drained_aborted_evicted_and_warmed,
    pools_describe_themselves,
    put_add_get,
    reads_and_writes_keep_their_deadlines,
    restarts_of_the_server_are_survived,
    signals_and_cancellation,
    sockets_are_set_up,
    stats_add_up,
    ten_thousand_idle,
    ten_thousand_dials,
    threads_share_a_pool,
    tokens_end_what_carries_them,
    user_data_is_freed_once,
    verify_release,
    waiting_is_in_order,
}

#[test]
fn the_list_is_what_the_directory_holds() {
    let listed: BTreeSet<String> = PROGRAMS.iter().map(ToString::to_string).collect();
    let present = programs().into_iter().map(|path| {
        let stem = path.file_stem().expect("a file has a name");
        stem.to_string_lossy().into_owned()
    });
    assert_eq!(listed, present.collect());
}
