//! What programs tell of themselves: each round starts each of them anew, lets it run once and reads its numbers.

use anyhow::Result;

use crate::case::Bench;
use crate::entrant::Entrant;
use crate::outcome::{Bar, Figure, Outcome};
use crate::place::Place;
use crate::program::Contestant;

/// See the module.
pub(crate) struct Reading {
    pub(crate) rounds: usize,
    /// What they are told to run.
    pub(crate) run: u64,
    /// The same for a look. Where it is less, it is not judged.
    pub(crate) quick_run: u64,
    pub(crate) columns: &'static [Column],
    pub(crate) readers: &'static [Reader],
}

/// One number of an answer.
pub(crate) struct Column {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// From the program's unit to this one.
    pub(crate) scale: f64,
    pub(crate) per: Per,
}

/// What a number is divided by.
#[derive(Clone, Copy)]
pub(crate) enum Per {
    Run,
    /// What the program was told to run.
    Amount,
}

/// Who is asked, and what each column may be.
pub(crate) struct Reader {
    pub(crate) contestant: Contestant,
    pub(crate) at_most: &'static [Option<f64>],
}

/// By column, then by round.
type Samples = Vec<Vec<f64>>;

impl Reading {
    pub(crate) fn is_cut_short(&self, bench: &Bench) -> bool {
        bench.is_quick && self.quick_run < self.run
    }

    pub(crate) fn run(&self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        let mut all: Vec<Samples> = Vec::new();
        all.resize(self.readers.len(), vec![Vec::new(); self.columns.len()]);
        for round in 0..self.rounds {
            eprintln!("  round {} of {}", round + 1, self.rounds);
            for (reader, samples) in self.readers.iter().zip(&mut all) {
                self.read(bench, &reader.contestant, samples, outcome)?;
            }
        }
        for (reader, samples) in self.readers.iter().zip(all) {
            self.conclude(reader, samples, outcome);
        }
        Ok(())
    }

    fn read(
        &self,
        bench: &Bench,
        contestant: &Contestant,
        samples: &mut Samples,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let Some(program) = bench.program_of(contestant, outcome)? else {
            return Ok(());
        };
        let amount = if bench.is_quick {
            self.quick_run
        } else {
            self.run
        };
        let command = Place::Anywhere.command(&program)?;
        let mut entrant = Entrant::start(bench, contestant, Place::Anywhere, command)?;
        let numbers = entrant.ask_all(amount)?;
        entrant.end()?;
        for ((column, samples), number) in self.columns.iter().zip(samples).zip(numbers) {
            samples.push(column.value(number, amount));
        }
        Ok(())
    }

    fn conclude(&self, reader: &Reader, samples: Samples, outcome: &mut Outcome) {
        let columns = self.columns.iter().zip(reader.at_most).zip(samples);
        for ((column, at_most), samples) in columns {
            let label = format!("{}: {}", reader.contestant.label, column.what);
            let figure = Figure::new(label, column.unit, samples);
            outcome.shows(figure, at_most.map(Bar::AtMost));
        }
    }
}

impl Column {
    fn value(&self, number: u64, amount: u64) -> f64 {
        let value = number as f64 * self.scale;
        match self.per {
            Per::Run => value,
            Per::Amount => value / amount as f64,
        }
    }
}
