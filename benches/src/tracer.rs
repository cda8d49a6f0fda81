//! Programs that count what another program does: callgrind its instructions, strace its system
//! calls. Only the thread that runs the cycles counts; what the library's own threads do is a
//! matter of time, not of cycles.
//!
//! What a cycle takes is what is counted in a run of 2 N cycles less what is counted in one of N:
//! start-up, the first dials and the protocol cancel out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::affinity::Affinity;
use crate::bench::Bench;
use crate::runner::Runner;
use crate::subject::Subject;

/// A program that counts.
#[derive(Clone, Copy)]
pub(crate) enum Tracer {
    Callgrind,
    Strace,
}

impl Tracer {
    /// The command, and the Debian package that brings it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tracer::Callgrind => "valgrind",
            Tracer::Strace => "strace",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        let mut command = Command::new(self.name());
        let status = command.arg("--version").stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// What the tool wrote of a run of `cycles`, and of one of twice as many.
    pub(crate) fn traces(
        self,
        bench: &Bench,
        subject: &Subject,
        program: &Path,
        cycles: u64,
    ) -> Result<[String; 2]> {
        let once = self.trace(bench, subject, program, cycles)?;
        let twice = self.trace(bench, subject, program, 2 * cycles)?;
        Ok([once, twice])
    }

    fn trace(
        self,
        bench: &Bench,
        subject: &Subject,
        program: &Path,
        cycles: u64,
    ) -> Result<String> {
        let (label, name) = (subject.title(bench.descriptors), self.name());
        eprintln!("  {label}: {cycles} cycles under {name}");
        let file = bench.builder.file("trace");
        let mut command = self.command(&file);
        command.arg(program);
        let mut runner = Runner::start(bench, subject, Affinity::AnyCpu, command)?;
        runner.run(cycles)?;
        runner.end()?;
        fs::read_to_string(self.file_of_first_thread(file)).context(name)
    }

    /// callgrind writes a file for each thread, strace follows only the first one.
    fn file_of_first_thread(self, mut file: PathBuf) -> PathBuf {
        if let Tracer::Callgrind = self {
            file.as_mut_os_string().push("-01");
        }
        file
    }

    fn command(self, file: &Path) -> Command {
        let mut command = Command::new(self.name());
        match self {
            Tracer::Callgrind => {
                let mut option = OsString::from("--callgrind-out-file=");
                option.push(file);
                command
                    .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
                    .arg(option)
            }
            Tracer::Strace => command
                .args(["--summary-only", "--summary-columns=calls,name", "--output"])
                .arg(file),
        };
        command
    }
}
