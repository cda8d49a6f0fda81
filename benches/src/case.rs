//! One case: a name, a sentence, and how it is measured. A new way to measure is a new variant of [`Measure`].

use std::path::PathBuf;

use anyhow::Result;

use crate::crowd::Crowd;
use crate::disturbance::Disturbance;
use crate::instructions::Instructions;
use crate::outcome::Outcome;
use crate::program::Contestant;
use crate::race::Race;
use crate::reading::Reading;
use crate::size::Size;
use crate::system_calls::SystemCalls;
use crate::workshop::{Built, Workshop};

/// What a case is run with.
pub(crate) struct Bench {
    pub(crate) workshop: Workshop,
    /// How many a process may have open.
    pub(crate) descriptors: u64,
    /// A look, not a figure.
    pub(crate) is_quick: bool,
}

impl Bench {
    /// The contestant's program; `None` if what it needs is missing, which the outcome then tells.
    pub(crate) fn program_of(
        &self,
        contestant: &Contestant,
        outcome: &mut Outcome,
    ) -> Result<Option<PathBuf>> {
        Ok(match self.workshop.build(&contestant.program)? {
            Built::Ready(program) => Some(program),
            Built::Missing(package) => {
                outcome.misses(contestant.label, package);
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
    /// Times, contestants in turn.
    Race(Race),
    /// Fairness and waits, contestants in turn.
    Crowd(Crowd),
    /// Instructions, counted.
    Instructions(Instructions),
    /// System calls, counted.
    SystemCalls(SystemCalls),
    /// What programs tell of themselves.
    Reading(Reading),
    /// Bytes of the shipped library.
    Size(Size),
}

impl Case {
    pub(crate) fn run(&self, bench: &Bench) -> Result<Outcome> {
        let mut outcome = Outcome::new(self.name, self.title);
        outcome.is_judged = !self.measure.is_cut_short(bench);
        let disturbance = Disturbance::begin()?;
        self.measure.run(bench, &mut outcome)?;
        if self.measure.is_timed() {
            outcome.disturbed = disturbance.share()?;
        }
        Ok(outcome)
    }
}

impl Measure {
    fn run(&self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        match self {
            Measure::Race(race) => race.run(bench, outcome),
            Measure::Crowd(crowd) => crowd.run(bench, outcome),
            Measure::Instructions(instructions) => instructions.run(bench, outcome),
            Measure::SystemCalls(calls) => calls.run(bench, outcome),
            Measure::Reading(reading) => reading.run(bench, outcome),
            Measure::Size(size) => size.run(bench, outcome),
        }
    }

    /// What others do on the machine changes the figures.
    fn is_timed(&self) -> bool {
        matches!(self, Measure::Race(_) | Measure::Crowd(_))
    }

    /// What is shown is a look, not a figure.
    fn is_cut_short(&self, bench: &Bench) -> bool {
        match self {
            Measure::Reading(reading) => reading.is_cut_short(bench),
            _ => bench.is_quick && self.is_timed(),
        }
    }
}
