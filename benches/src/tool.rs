//! Programs that count what another program does: callgrind its instructions, strace its system calls. Only the thread that runs the
//! cycles counts; what the library's own threads do is a matter of time, not of cycles.
//!
//! What a cycle takes is what is counted in a run of 2 N cycles less what is counted in one of N: start-up, the first dials and the
//! protocol cancel out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::case::Bench;
use crate::entrant::Entrant;
use crate::place::Place;
use crate::program::Contestant;

/// See the module.
#[derive(Clone, Copy)]
pub(crate) enum Tool {
    Callgrind,
    Strace,
}

impl Tool {
    /// The command, and the Debian package that brings it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Callgrind => "valgrind",
            Tool::Strace => "strace",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        let mut command = Command::new(self.name());
        let status = command.arg("--version").stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Reports of a run of `cycles` and of one of twice as many.
    pub(crate) fn reports(
        self,
        bench: &Bench,
        contestant: &Contestant,
        program: &Path,
        cycles: u64,
    ) -> Result<[String; 2]> {
        let once = self.report(bench, contestant, program, cycles)?;
        let twice = self.report(bench, contestant, program, 2 * cycles)?;
        Ok([once, twice])
    }

    fn report(
        self,
        bench: &Bench,
        contestant: &Contestant,
        program: &Path,
        cycles: u64,
    ) -> Result<String> {
        let (label, name) = (contestant.label, self.name());
        eprintln!("  {label}: {cycles} cycles under {name}");
        let file = bench.workshop.file("report");
        let mut command = self.command(&file);
        command.arg(program);
        let mut entrant = Entrant::start(bench, contestant, Place::Anywhere, command)?;
        entrant.run(cycles)?;
        entrant.end()?;
        fs::read_to_string(self.report_of_first_thread(file)).context(name)
    }

    /// callgrind writes a file for each thread, strace follows only the first one.
    fn report_of_first_thread(self, mut file: PathBuf) -> PathBuf {
        if let Tool::Callgrind = self {
            file.as_mut_os_string().push("-01");
        }
        file
    }

    fn command(self, report: &Path) -> Command {
        let mut command = Command::new(self.name());
        match self {
            Tool::Callgrind => {
                let mut option = OsString::from("--callgrind-out-file=");
                option.push(report);
                command
                    .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
                    .arg(option)
            }
            Tool::Strace => command
                .args(["--summary-only", "--summary-columns=calls,name", "--output"])
                .arg(report),
        };
        command
    }
}
