//! Instructions per cycle, as callgrind counts them: the figure repeats whatever else the machine does.

use anyhow::{Context, Result};

use crate::case::Bench;
use crate::report::{Bar, Report};
use crate::subject::Subject;
use crate::tracer::Tracer;

const CYCLES: u64 = 20_000;

/// See the module.
pub(crate) struct Instructions {
    pub(crate) counts: &'static [Count],
}

/// Whose are counted, and how many they may be.
pub(crate) struct Count {
    pub(crate) subject: &'static Subject,
    pub(crate) at_most: Option<f64>,
}

impl Instructions {
    pub(crate) fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        for count in self.counts {
            let subject = count.subject;
            let Some(program) = bench.program_of(subject, report)? else {
                continue;
            };
            if !Tracer::Callgrind.is_installed() {
                report.misses(subject.label, Tracer::Callgrind.name());
                continue;
            }
            let reports = Tracer::Callgrind.reports(bench, subject, &program, CYCLES)?;
            let [once, twice] = reports.each_ref().map(|report| total(report));
            let per_cycle = (twice? - once?) / CYCLES as f64;
            let bar = count.at_most.map(Bar::AtMost);
            report.counts(subject.label, "instructions per cycle", per_cycle, bar);
        }
        Ok(())
    }
}

/// The line "totals: N" of callgrind's file.
fn total(report: &str) -> Result<f64> {
    let total = report.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.context("callgrind's file has no totals")?;
    Ok(total.trim().parse()?)
}
