//! One case: a name, a sentence, and how it is measured. A new way to measure is a new variant of [`Measure`].

use anyhow::Result;

use crate::crowd::Crowd;
use crate::disturbance::Disturbance;
use crate::instructions::Instructions;
use crate::outcome::Outcome;
use crate::race::Race;
use crate::workshop::Workshop;

/// What a case is run with.
pub(crate) struct Bench {
    pub(crate) workshop: Workshop,
    /// A look, not a figure.
    pub(crate) is_quick: bool,
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
}

impl Case {
    pub(crate) fn run(&self, bench: &Bench) -> Result<Outcome> {
        let mut outcome = Outcome::new(self.name, self.title);
        match &self.measure {
            Measure::Race(race) => {
                let disturbance = Disturbance::begin()?;
                race.run(bench, &mut outcome)?;
                outcome.disturbed = disturbance.share()?;
            }
            Measure::Crowd(crowd) => {
                let disturbance = Disturbance::begin()?;
                crowd.run(bench, &mut outcome)?;
                outcome.disturbed = disturbance.share()?;
            }
            Measure::Instructions(instructions) => instructions.run(bench, &mut outcome)?,
        }
        Ok(outcome)
    }
}
