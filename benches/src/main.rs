//! Measures libvconnpool: builds the shipped library and the C programs, runs the cases, prints figures and bars.
//!
//! `case` says what a case is and `catalogue` lists them; `race`, `crowd`, `reading`, `instructions`, `system_calls` and `size` are the
//! ways to measure, `tool` the programs that count. `program` says what competes, `workshop` builds it, `entrant` is one that runs,
//! `process` talks to it, `server` is its peer, `place` its CPUs. `spread` and `outcome` hold figures, `disturbance` says whether
//! they count, `table` prints them and `chart` draws them.

mod case;
mod catalogue;
mod chart;
mod crowd;
mod disturbance;
mod entrant;
mod instructions;
mod outcome;
mod place;
mod process;
mod program;
mod race;
mod reading;
mod server;
mod size;
mod spread;
mod system_calls;
mod table;
mod tool;
mod workshop;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use clap::Parser;

use crate::case::{Bench, Case};
use crate::catalogue::CASES;
use crate::outcome::Outcome;
use crate::workshop::Workshop;

/// Measures libvconnpool against its peers and prints each figure beside its bar.
#[derive(Parser)]
struct Arguments {
    /// The cases to run, as "A" "A'"; all if none is named
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// List the cases and end
    #[arg(long)]
    list: bool,
    /// Fewer rounds: a look, not a figure; what is timed is not judged
    #[arg(long)]
    quick: bool,
    /// Write the figures, every sample included, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the cycles of cases A and A', as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Do not fail when a contestant's package is not installed
    #[arg(long)]
    skip_missing: bool,
    /// Fail when a bar does not hold
    #[arg(long)]
    check: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let cases = chosen(&arguments.cases)?;
    if arguments.list {
        cases
            .iter()
            .for_each(|case| println!("{:<4}{}", case.name, case.title));
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Bench {
        workshop: Workshop::open()?,
        descriptors: rlimit::increase_nofile_limit(u64::MAX)?,
        is_quick: arguments.quick,
    };
    let outcomes = run(&cases, &bench)?;
    print!("{}", table::summary(&outcomes));
    if let Some(path) = &arguments.json {
        write_json(path, &outcomes)?;
    }
    if let Some(path) = &arguments.svg {
        chart::write(path, &outcomes)?;
    }
    Ok(verdict(&outcomes, &arguments))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    let find = |name: &String| {
        let is_it = |case: &&Case| case.name.eq_ignore_ascii_case(name);
        match CASES.iter().find(is_it) {
            Some(case) => Ok(case),
            None => bail!("there is no case {name}; --list shows them"),
        }
    };
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    names.iter().map(find).collect()
}

fn run(cases: &[&Case], bench: &Bench) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for case in cases {
        eprintln!("{}: {}", case.name, case.title);
        let outcome = case
            .run(bench)
            .with_context(|| format!("case {}", case.name))?;
        print!("{}", table::of(&outcome));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn write_json(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    serde_json::to_writer_pretty(file, outcomes).with_context(|| path.display().to_string())
}

fn verdict(outcomes: &[Outcome], arguments: &Arguments) -> ExitCode {
    let is_missing = outcomes.iter().any(|outcome| !outcome.missing.is_empty());
    let misses_one = outcomes.iter().any(Outcome::misses_a_bar);
    if (is_missing && !arguments.skip_missing) || (misses_one && arguments.check) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
