//! What the runners of C and C++ programs share: the library beside the programs, a compiler that
//! runs only when something changed, and a process that is killed when its time is up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, io, thread};

use crate::sources::{files_below, root};

/// Why a program could not be built or did not end well.
pub(crate) type Outcome<T> = Result<T, String>;

/// The directory that the programs are built into, with the library beside them under its soname.
pub(crate) fn output_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).expect("the directory can be made");
    let test = env::current_exe().expect("the test has a path");
    let library = test.with_file_name("libvconnpool.so");
    assert!(library.exists(), "{} is missing", library.display());
    for name in ["libvconnpool.so", "libvconnpool.so.0"] {
        link(&directory.join(name), &library);
    }
    directory
}

/// Makes or moves a symbolic link.
fn link(path: &Path, target: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{path:?}: {error}"),
        _ => std::os::unix::fs::symlink(target, path).expect("a link can be made"),
    }
}

/// The name of a file without its extension.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().expect("a file has a name");
    stem.to_string_lossy().into_owned()
}

/// How one program is compiled and linked.
pub(crate) struct Build<'a> {
    pub(crate) compiler: OsString,
    /// The language and the warnings.
    pub(crate) flags: &'a [&'a str],
    pub(crate) source: &'a Path,
    /// Where headers are looked for, beside include.
    pub(crate) headers: &'a Path,
    /// Where the program goes; the library lies beside it.
    pub(crate) program: &'a Path,
}

impl Build<'_> {
    fn command(&self) -> Command {
        let library = self
            .program
            .parent()
            .expect("a program lies in a directory");
        let mut rpath = OsString::from("-Wl,-rpath,");
        rpath.push(library);
        let mut command = Command::new(&self.compiler);
        // What follows the source is no source text.
        let no_language = self.flags.contains(&"-x").then_some(["-x", "none"]);
        command
            .args(self.flags)
            .args(["-g", "-O1", "-pthread", "-I"])
            .arg(root().join("include"))
            .arg("-I")
            .arg(self.headers)
            .arg("-o")
            .arg(self.program)
            .arg(self.source)
            .args(no_language.iter().flatten())
            .arg("-L")
            .arg(library)
            .arg("-lvconnpool")
            .arg(rpath);
        command
    }

    /// When the source or a header that it may include was last changed.
    fn last_change(&self) -> SystemTime {
        let mut inputs = files_below(self.headers, &["h", "hpp"]);
        inputs.append(&mut files_below(&root().join("include"), &["h", "hpp"]));
        inputs.insert(self.source.to_owned());
        let changed = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified());
        let times = inputs.iter().map(changed);
        times
            .map(|time| time.expect("a source has a time"))
            .max()
            .expect("there is a source")
    }

    /// Builds unless the program is newer than all it is made of, and was made by this command.
    pub(crate) fn run(&self) -> Outcome<()> {
        // Several tests of one program may begin at once.
        let lock = lock_of(self.program);
        let _building = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = self.command();
        let text = format!("{command:?}");
        let stamp = PathBuf::from(format!("{}.command", self.program.display()));
        let is_made = |stamp: &Path| fs::metadata(stamp).and_then(|file| file.modified());
        let is_current = fs::read_to_string(&stamp).is_ok_and(|made_by| made_by == text)
            && is_made(&stamp).is_ok_and(|time| time > self.last_change());
        if is_current && self.program.exists() {
            return Ok(());
        }
        let began = SystemTime::now();
        let output = command.output().expect("the compiler can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || !said.is_empty() {
            return Err(format!("{text}\n{said}"));
        }
        fs::write(&stamp, text).expect("the stamp can be written");
        // What was saved while the compiler ran may not be in the program.
        let file = fs::File::options()
            .append(true)
            .open(&stamp)
            .expect("it was just written");
        file.set_modified(began).expect("the stamp can be dated");
        Ok(())
    }
}

/// Held by the one that builds that program.
fn lock_of(program: &Path) -> Arc<Mutex<()>> {
    static LOCKS: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    locks.entry(program.to_owned()).or_default().clone()
}

/// The program, by way of VCP_C_PREFIX where that is set.
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

fn time_limit() -> Duration {
    let seconds = env::var("VCP_C_TIMEOUT").map_or(120, |text| {
        text.parse().expect("VCP_C_TIMEOUT is a number of seconds")
    });
    Duration::from_secs(seconds)
}

/// Waits for it in a process group of its own, which is killed when its time is up. `None`: it was.
fn status_of(command: &mut Command) -> Option<ExitStatus> {
    let mut child = command
        .process_group(0)
        .spawn()
        .expect("the program can be started");
    let end = Instant::now() + time_limit();
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

/// Runs the program; what it printed is its answer, or part of the reason why it failed.
pub(crate) fn run(program: &Path, arguments: &[String]) -> Outcome<String> {
    let path = PathBuf::from(format!("{}.{}.log", program.display(), arguments.join(".")));
    let log = fs::File::create(&path).expect("a log can be written");
    let status = status_of(
        prefixed(program)
            .args(arguments)
            // cargo's own paths would come before the program's rpath, and may hold another build
            // of the library.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log),
    );
    let said = fs::read(&path).expect("the log can be read");
    let said = String::from_utf8_lossy(&said).into_owned();
    match status {
        Some(status) if status.success() => Ok(said),
        Some(status) => Err(match status.signal() {
            Some(signal) => format!("{said}\nsignal {signal}"),
            None => format!("{said}\n{status}"),
        }),
        None => Err(format!("{said}\nno end after {:?}", time_limit())),
    }
}
