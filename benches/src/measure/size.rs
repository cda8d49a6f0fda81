//! The size of what is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Report};

/// What the shared library, stripped, and the static one may have, in bytes.
pub(crate) struct Size {
    pub(crate) shared_at_most: u64,
    pub(crate) static_at_most: u64,
}

impl Measure for Size {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        if Command::new("strip").arg("--version").output().is_err() {
            report.misses("strip", "binutils");
            return Ok(());
        }
        let builder = &bench.builder;
        let shared = stripped_size(&builder.library(), &builder.file("stripped.so"))?;
        let bar = |most: u64| Some(Bar::AtMost(most as f64));
        let label = "libvconnpool.so, stripped";
        report.shows(label, "bytes", &[shared], bar(self.shared_at_most));
        if let Some(baseline) = builder.baseline() {
            let old = baseline.join("libvconnpool.so.0");
            let old = stripped_size(&old, &builder.file("stripped.so"))?;
            report.compares_to_baseline(label, &[shared], &[old]);
        }
        let archive = builder.archive();
        let size = fs::metadata(&archive)?.len() as f64;
        report.shows("libvconnpool.a", "bytes", &[size], bar(self.static_at_most));
        let foreign = foreign_symbols(&archive)?;
        let label = "libvconnpool.a: visible symbols that are not vcp_*";
        report.shows(label, "symbols", &[foreign], Some(Bar::Exactly(0.0)));
        Ok(())
    }
}

fn stripped_size(library: &Path, stripped: &Path) -> Result<f64> {
    let mut strip = Command::new("strip");
    let status = strip.arg("-o").arg(stripped).arg(library).status()?;
    ensure!(status.success(), "strip: {status}");
    Ok(fs::metadata(stripped)?.len() as f64)
}

/// Of what nm(1) lists: defined, and visible to the program that is linked with it.
fn foreign_symbols(archive: &Path) -> Result<f64> {
    let mut nm = Command::new("nm");
    nm.args(["--extern-only", "--defined-only", "--format=posix"]);
    let output = nm.arg(archive).output().context("nm")?;
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.split_once(' '));
    let foreign = names.filter(|(name, _)| !name.starts_with("vcp_"));
    Ok(foreign.count() as f64)
}
