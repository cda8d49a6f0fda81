//! Instructions per cycle: what callgrind counts in a run of 2 N cycles less what it counts in one of N, over N. Start-up,
//! the first dial and the protocol cancel out, and the figure repeats whatever else the machine does.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::case::Bench;
use crate::outcome::{Bar, Figure, Mark, Outcome};
use crate::place::Place;
use crate::process::Process;
use crate::program::Contestant;
use crate::server::EchoServer;
use crate::workshop::Built;

const CYCLES: u64 = 20_000;

/// See the module.
pub(crate) struct Instructions {
    pub(crate) counts: &'static [Count],
}

/// Whose are counted, and how many they may be.
pub(crate) struct Count {
    pub(crate) contestant: &'static Contestant,
    pub(crate) at_most: Option<f64>,
}

impl Instructions {
    pub(crate) fn run(&self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        for Count {
            contestant,
            at_most,
        } in self.counts
        {
            match bench.workshop.build(&contestant.program)? {
                Built::Missing(package) => outcome.misses(contestant.label, package),
                Built::Ready(_) if !has_valgrind() => outcome.misses(contestant.label, "valgrind"),
                Built::Ready(program) => {
                    let count = per_cycle(bench, contestant, &program)?;
                    outcome.add(contestant.label, count, *at_most);
                }
            }
        }
        Ok(())
    }
}

impl Outcome {
    fn add(&mut self, label: &'static str, count: f64, at_most: Option<f64>) {
        let figure = Figure::new(label, "instructions per cycle", vec![count]);
        self.marks.push(Mark {
            what: label.to_owned(),
            spread: figure.spread,
            bar: at_most.map(Bar::AtMost),
        });
        self.figures.push(figure);
    }
}

fn has_valgrind() -> bool {
    let mut command = Command::new("valgrind");
    let status = command.arg("--version").stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn per_cycle(bench: &Bench, contestant: &Contestant, program: &Path) -> Result<f64> {
    let server = EchoServer::start(bench, Place::Anywhere)?;
    let once = counted(bench, contestant, program, &server.address, CYCLES)?;
    let twice = counted(bench, contestant, program, &server.address, 2 * CYCLES)?;
    server.end()?;
    Ok((twice as f64 - once as f64) / CYCLES as f64)
}

fn counted(
    bench: &Bench,
    contestant: &Contestant,
    program: &Path,
    address: &str,
    cycles: u64,
) -> Result<u64> {
    eprintln!("  {}: {cycles} cycles under callgrind", contestant.label);
    let file = bench.workshop.file("callgrind.out");
    let mut option = OsString::from("--callgrind-out-file=");
    option.push(&file);
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).arg(option);
    command.arg(program).args([address, contestant.variant]);
    let mut process = Process::start("valgrind", &mut command)?;
    process.run(cycles)?;
    process.end()?;
    total(&fs::read_to_string(file)?)
}

/// The line "totals: N" of callgrind's file.
fn total(text: &str) -> Result<u64> {
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.context("callgrind's file has no totals")?;
    Ok(total.trim().parse()?)
}
