//! One case: a name, a sentence, and how it is measured. A way to measure is a file of `measure`.

use anyhow::Result;

use crate::bench::Bench;
use crate::noise::Noise;
use crate::report::Report;

/// A line of the table of figures, with its bars.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) measure: &'static (dyn Measure + Sync),
}

/// A way to measure.
pub(crate) trait Measure {
    /// Adds what it found to the report.
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()>;

    /// Whether other load on the machine changes the figures.
    fn is_timed(&self) -> bool {
        false
    }

    /// Whether `--quick` makes so little of it that its bars are not judged.
    fn is_cut_short(&self, bench: &Bench) -> bool {
        bench.is_quick && self.is_timed()
    }
}

impl Case {
    pub(crate) const fn new(
        name: &'static str,
        title: &'static str,
        measure: &'static (dyn Measure + Sync),
    ) -> Self {
        Self {
            name,
            title,
            measure,
        }
    }

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
