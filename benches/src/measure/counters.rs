//! What programs tell of themselves: each round starts each of them anew, lets it run once and reads its numbers.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::case::Bench;
use crate::report::{Bar, Measurement, Report};
use crate::runner::Runner;
use crate::subject::Subject;

/// See the module.
pub(crate) struct Counters {
    pub(crate) rounds: usize,
    /// What they are told to run.
    pub(crate) run: u64,
    /// The same for a look. Where it is less, it is not judged.
    pub(crate) quick_run: u64,
    pub(crate) columns: &'static [Column],
    pub(crate) reporters: &'static [Reporter],
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
pub(crate) struct Reporter {
    pub(crate) subject: Subject,
    pub(crate) at_most: &'static [Option<f64>],
}

/// By column, then by round.
type Samples = Vec<Vec<f64>>;

impl Counters {
    pub(crate) fn is_cut_short(&self, bench: &Bench) -> bool {
        bench.is_quick && self.quick_run < self.run
    }

    pub(crate) fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let mut all: Vec<Samples> = Vec::new();
        all.resize(self.reporters.len(), vec![Vec::new(); self.columns.len()]);
        for round in 0..self.rounds {
            eprintln!("  round {} of {}", round + 1, self.rounds);
            for (reporter, samples) in self.reporters.iter().zip(&mut all) {
                self.read(bench, &reporter.subject, samples, report)?;
            }
        }
        for (reporter, samples) in self.reporters.iter().zip(all) {
            self.conclude(reporter, samples, report);
        }
        Ok(())
    }

    fn read(
        &self,
        bench: &Bench,
        subject: &Subject,
        samples: &mut Samples,
        report: &mut Report,
    ) -> Result<()> {
        let Some(program) = bench.program_of(subject, report)? else {
            return Ok(());
        };
        let amount = if bench.is_quick {
            self.quick_run
        } else {
            self.run
        };
        let command = Affinity::AnyCpu.command(&program)?;
        let mut runner = Runner::start(bench, subject, Affinity::AnyCpu, command)?;
        let numbers = runner.ask_all(amount)?;
        runner.end()?;
        for ((column, samples), number) in self.columns.iter().zip(samples).zip(numbers) {
            samples.push(column.value(number, amount));
        }
        Ok(())
    }

    fn conclude(&self, reporter: &Reporter, samples: Samples, report: &mut Report) {
        let columns = self.columns.iter().zip(reporter.at_most).zip(samples);
        for ((column, at_most), samples) in columns {
            let label = format!("{}: {}", reporter.subject.label, column.what);
            let figure = Measurement::new(label, column.unit, samples);
            report.shows(figure, at_most.map(Bar::AtMost));
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
