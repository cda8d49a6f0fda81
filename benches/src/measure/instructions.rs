//! Instructions per cycle, as callgrind counts them: the figure repeats whatever else the machine
//! does.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Report};
use crate::subject::Subject;
use crate::tracer::Tracer;

const UNIT: &str = "instructions per cycle";

/// The counts of one case.
pub(crate) struct Instructions {
    pub(crate) cycles: u64,
    pub(crate) counts: &'static [Count],
}

/// The subject that is counted, and how many instructions a cycle may have.
pub(crate) struct Count {
    pub(crate) subject: &'static Subject,
    /// A subject that does a part of each cycle, whose instructions are taken off.
    pub(crate) less: Option<&'static Subject>,
    pub(crate) at_most: Option<f64>,
}

impl Measure for Instructions {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        for count in self.counts {
            let twin = bench.twin_of(count.subject);
            let twin_less = count.less.and_then(|less| bench.twin_of(less));
            let new = self.difference(bench, report, Some(count.subject), count.less)?;
            let old = self.difference(bench, report, twin.as_ref(), twin_less.as_ref())?;
            if let Some(new) = new {
                let bar = count.at_most.map(Bar::AtMost);
                report.shows(count.label(), UNIT, &[new], bar);
            }
            if let (Some(new), Some(old)) = (new, old) {
                report.compares_to_baseline(&count.label(), &[new], &[old]);
            }
        }
        Ok(())
    }
}

impl Instructions {
    /// `None` if something is missing.
    fn difference(
        &self,
        bench: &Bench,
        report: &mut Report,
        of: Option<&Subject>,
        less: Option<&Subject>,
    ) -> Result<Option<f64>> {
        let mut count = |subject: Option<&Subject>| match subject {
            Some(subject) => self.per_cycle(bench, subject, report),
            None => Ok(None),
        };
        let (of, less) = (count(of)?, count(less)?);
        Ok(of.map(|of| of - less.unwrap_or(0.0)))
    }

    fn per_cycle(
        &self,
        bench: &Bench,
        subject: &Subject,
        report: &mut Report,
    ) -> Result<Option<f64>> {
        let Some(program) = bench.program_of(subject, report)? else {
            return Ok(None);
        };
        if !Tracer::Callgrind.is_installed() {
            report.misses(subject.label, Tracer::Callgrind.name());
            return Ok(None);
        }
        let files = Tracer::Callgrind.traces(bench, subject, &program, self.cycles)?;
        let [once, twice] = files.each_ref().map(|file| total(file));
        Ok(Some((twice? - once?) / self.cycles as f64))
    }
}

impl Count {
    fn label(&self) -> String {
        let less = self.less.map(|less| format!(", less {}", less.label));
        format!("{}{}", self.subject.label, less.unwrap_or_default())
    }
}

/// The line "totals: N" of callgrind's file.
fn total(file: &str) -> Result<f64> {
    let total = file.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.context("callgrind's file has no totals")?;
    Ok(total.trim().parse()?)
}
