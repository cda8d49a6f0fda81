//! System calls per cycle, by name, as strace counts them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Report};
use crate::subject::Subject;
use crate::tracer::Tracer;

const UNIT: &str = "calls per cycle";
/// Per cycle: the pool wakes its background thread up to twice a second while it is busy. That is a
/// matter of time, which strace stretches, and not of cycles.
const WAKE_UPS: f64 = 0.001;

/// The counts of one case.
pub(crate) struct SystemCalls {
    pub(crate) cycles: u64,
    /// With `--quick`.
    pub(crate) quick_cycles: u64,
    pub(crate) calls: &'static [Calls],
}

/// Whose are counted, which are expected and how many of each; of all others none but [`WAKE_UPS`].
pub(crate) struct Calls {
    pub(crate) subject: &'static Subject,
    pub(crate) expected: &'static [(&'static str, f64)],
}

type Counts = BTreeMap<String, f64>;

impl Measure for SystemCalls {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let cycles = if bench.is_quick {
            self.quick_cycles
        } else {
            self.cycles
        };
        for calls in self.calls {
            let subject = calls.subject;
            let Some(program) = bench.program_of(subject, report)? else {
                continue;
            };
            if !Tracer::Strace.is_installed() {
                report.misses(subject.label, Tracer::Strace.name());
                continue;
            }
            let files = Tracer::Strace.traces(bench, subject, &program, cycles)?;
            let [once, twice] = files.each_ref().map(|file| counts(file));
            calls.judge(per_cycle(once?, twice?, cycles), report);
        }
        Ok(())
    }
}

impl Calls {
    fn judge(&self, mut counts: Counts, report: &mut Report) {
        let label = self.subject.label;
        for &(name, exactly) in self.expected {
            let count = counts.remove(name).unwrap_or(0.0);
            let what = format!("{label}: {name}");
            report.shows(what, UNIT, &[count], Some(Bar::Exactly(exactly)));
        }
        let others: f64 = counts.values().sum();
        let what = format!("{label}: all others{}", names_of(&counts));
        report.shows(what, UNIT, &[others], Some(Bar::AtMost(WAKE_UPS)));
    }
}

/// Those that are no longer as many as in the shorter run.
fn names_of(counts: &Counts) -> String {
    let names = counts.iter().filter(|(_, count)| **count != 0.0);
    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", names.join(", "))
    }
}

fn per_cycle(once: Counts, mut twice: Counts, cycles: u64) -> Counts {
    for (name, count) in once {
        *twice.entry(name).or_default() -= count;
    }
    twice.values_mut().for_each(|count| *count /= cycles as f64);
    twice
}

/// Of strace's summary: a count and a name in each line between two rules.
fn counts(summary: &str) -> Result<Counts> {
    let is_rule = |line: &&str| line.starts_with('-');
    let lines = summary.lines().skip_while(|line| !is_rule(line)).skip(1);
    let lines = lines.take_while(|line| !is_rule(line));
    lines
        .map(|line| {
            let (count, name) = line.trim().split_once(' ').context("strace's summary")?;
            Ok((name.trim().to_owned(), count.parse()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_runs_have_in_common_cancels_out() {
        let report = |recvs, brks| {
            let rule = "--------- -------\n";
            format!("calls syscall\n{rule} {recvs} recvfrom\n {brks} brk\n{rule} 0 total\n")
        };
        let once = counts(&report(10, 3)).expect("a summary");
        let twice = counts(&report(20, 3)).expect("a summary");
        let calls = per_cycle(once, twice, 10);
        assert_eq!((calls["recvfrom"], calls["brk"]), (1.0, 0.0));
        assert_eq!(names_of(&calls), " (recvfrom)");
    }
}
