//! Numbers that programs tell of themselves: each round starts each of them anew, lets it run once
//! and reads its answer.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Report};
use crate::runner::Runner;
use crate::subject::Subject;

/// Programs that are asked, and the numbers of their answers.
pub(crate) struct Counters {
    pub(crate) rounds: usize,
    /// N of "run N".
    pub(crate) run: u64,
    /// N with `--quick`. Where it is less, nothing is judged.
    pub(crate) quick_run: u64,
    pub(crate) columns: &'static [Column],
    pub(crate) rows: &'static [Row],
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
    /// N of "run N".
    Amount,
}

/// A program, and what each column may be.
pub(crate) struct Row {
    pub(crate) subject: Subject,
    pub(crate) at_most: &'static [Option<f64>],
}

/// By column, then by round.
type Samples = Vec<Vec<f64>>;

impl Measure for Counters {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        for row in self.rows {
            let twin = bench.twin_of(&row.subject);
            let (mut new, mut old) = (self.no_samples(), self.no_samples());
            for round in 0..self.rounds {
                eprintln!(
                    "  {}: round {} of {}",
                    row.subject.label,
                    round + 1,
                    self.rounds
                );
                self.ask(bench, &row.subject, &mut new, report)?;
                if let Some(twin) = &twin {
                    self.ask(bench, twin, &mut old, report)?;
                }
            }
            self.conclude(row, &new, &old, report);
        }
        Ok(())
    }

    fn is_cut_short(&self, bench: &Bench) -> bool {
        bench.is_quick && self.quick_run < self.run
    }
}

impl Counters {
    fn no_samples(&self) -> Samples {
        vec![Vec::new(); self.columns.len()]
    }

    fn ask(
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

    fn conclude(&self, row: &Row, new: &Samples, old: &Samples, report: &mut Report) {
        let bars = row.at_most.iter().map(|most| most.map(Bar::AtMost));
        for (((column, bar), new), old) in self.columns.iter().zip(bars).zip(new).zip(old) {
            let label = format!("{}: {}", row.subject.label, column.what);
            report.shows(label.clone(), column.unit, new, bar);
            // Nothing is no ratio's denominator.
            if old.iter().any(|&one| one > 0.0) {
                report.compares_to_baseline(&label, new, old);
            }
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
