//! Measures libvconnpool: builds the shipped library and the C programs, runs the cases, prints
//! figures and bars.
//!
//! `cases` lists the cases and `measure` holds the ways to measure; README.md says what is where
//! and how to add a case.

mod affinity;
mod bench;
mod builder;
mod case;
mod cases;
mod chart;
mod measure;
mod noise;
mod process;
mod report;
mod runner;
mod server;
mod statistics;
mod subject;
mod table;
mod tracer;
mod turns;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use clap::Parser;

use crate::bench::Bench;
use crate::builder::Builder;
use crate::case::Case;
use crate::report::Report;

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
    /// Measure another build of the library in the same rounds, and print new / old of each figure
    /// of ours
    #[arg(long, value_name = "LIBVCONNPOOL_SO")]
    against: Option<PathBuf>,
    /// Draw the cycles of cases A and A', as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Do not fail when a subject's package is not installed
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
        builder: Builder::open(arguments.against.as_deref())?,
        descriptors: rlimit::increase_nofile_limit(u64::MAX)?,
        is_quick: arguments.quick,
    };
    let reports = run(&cases, &bench)?;
    print!("{}", table::of_bars(&reports));
    if let Some(path) = &arguments.json {
        write_json(path, &reports)?;
    }
    if let Some(path) = &arguments.svg {
        chart::write(path, &reports)?;
    }
    Ok(verdict(&reports, &arguments))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    let all = cases::all();
    let find = |name: &String| {
        let is_it = |case: &&&Case| case.name.eq_ignore_ascii_case(name);
        match all.iter().find(is_it) {
            Some(case) => Ok(*case),
            None => bail!("there is no case {name}; --list shows them"),
        }
    };
    if names.is_empty() {
        return Ok(all);
    }
    names.iter().map(find).collect()
}

fn run(cases: &[&Case], bench: &Bench) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for case in cases {
        eprintln!("{}: {}", case.name, case.title);
        let report = case
            .run(bench)
            .with_context(|| format!("case {}", case.name))?;
        print!("{}", table::of_case(&report));
        reports.push(report);
    }
    Ok(reports)
}

fn write_json(path: &Path, reports: &[Report]) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    serde_json::to_writer_pretty(file, reports).with_context(|| path.display().to_string())
}

fn verdict(reports: &[Report], arguments: &Arguments) -> ExitCode {
    let is_missing = reports.iter().any(|report| !report.missing.is_empty());
    let misses_one = reports.iter().any(Report::misses_a_bar);
    if (is_missing && !arguments.skip_missing) || (misses_one && arguments.check) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
