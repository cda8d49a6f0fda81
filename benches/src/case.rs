//! One case: a name, a sentence, and how it is measured. A new way to measure is a new variant of [`Measure`].

use std::path::PathBuf;

use anyhow::Result;

use crate::builder::{Builder, Built};
use crate::measure::contention::Contention;
use crate::measure::counters::Counters;
use crate::measure::instructions::Instructions;
use crate::measure::interleaved::Interleaved;
use crate::measure::size::Size;
use crate::measure::system_calls::SystemCalls;
use crate::noise::Noise;
use crate::report::Report;
use crate::subject::Subject;

/// What a case is run with.
pub(crate) struct Bench {
    pub(crate) builder: Builder,
    /// How many a process may have open.
    pub(crate) descriptors: u64,
    /// A look, not a figure.
    pub(crate) is_quick: bool,
}

impl Bench {
    /// The subject's program; `None` if what it needs is missing, which the report then tells.
    pub(crate) fn program_of(
        &self,
        subject: &Subject,
        report: &mut Report,
    ) -> Result<Option<PathBuf>> {
        Ok(match self.builder.build(&subject.program)? {
            Built::Ready(program) => Some(program),
            Built::Missing(package) => {
                report.misses(subject.label, package);
                None
            }
        })
    }
}

/// See the module.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) measure: Measure,
}

/// How a case is measured.
pub(crate) enum Measure {
    /// Times, subjects in turn.
    Interleaved(Interleaved),
    /// Fairness and waits, subjects in turn.
    Contention(Contention),
    /// Instructions, counted.
    Instructions(Instructions),
    /// System calls, counted.
    SystemCalls(SystemCalls),
    /// What programs tell of themselves.
    Counters(Counters),
    /// Bytes of the shipped library.
    Size(Size),
}

impl Case {
    pub(crate) fn run(&self, bench: &Bench) -> Result<Report> {
        let mut report = Report::new(self.name, self.title);
        report.is_judged = !self.measure.is_cut_short(bench);
        let noise = Noise::begin()?;
        self.measure.run(bench, &mut report)?;
        if self.measure.is_timed() {
            report.noise = noise.share()?;
        }
        Ok(report)
    }
}

impl Measure {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        match self {
            Measure::Interleaved(interleaved) => interleaved.run(bench, report),
            Measure::Contention(contention) => contention.run(bench, report),
            Measure::Instructions(instructions) => instructions.run(bench, report),
            Measure::SystemCalls(calls) => calls.run(bench, report),
            Measure::Counters(counters) => counters.run(bench, report),
            Measure::Size(size) => size.run(bench, report),
        }
    }

    /// What others do on the machine changes the figures.
    fn is_timed(&self) -> bool {
        matches!(self, Measure::Interleaved(_) | Measure::Contention(_))
    }

    /// What is shown is a look, not a figure.
    fn is_cut_short(&self, bench: &Bench) -> bool {
        match self {
            Measure::Counters(counters) => counters.is_cut_short(bench),
            _ => bench.is_quick && self.is_timed(),
        }
    }
}
