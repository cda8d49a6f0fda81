//! Times of subjects that run in turn, A B A B, so that what drifts on the machine meets all of them alike. Ratios are
//! those of one round's pair.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::case::Bench;
use crate::report::{Bar, Measurement, Metric, Report};
use crate::runner::Runner;
use crate::statistics::Statistics;
use crate::subject::Subject;

/// One turn of a subject: long beside a process switch, short beside the drift of the machine. Many short turns repeat
/// better than few long ones.
const TURN_NS: u64 = 20_000_000;
/// Runs of each number of cycles, on the way to that of a turn.
const TRIALS: usize = 3;
const ROUNDS: usize = 151;
const QUICK_ROUNDS: usize = 25;
/// Rounds between two words of progress.
const PROGRESS: usize = 25;

/// See the module.
pub(crate) struct Interleaved {
    pub(crate) affinity: Affinity,
    pub(crate) turn: Turn,
    pub(crate) subjects: &'static [Subject],
    pub(crate) comparisons: &'static [Comparison],
    /// How far the largest median may be from the least.
    pub(crate) flat_within: Option<f64>,
}

/// How many cycles a subject runs at a time.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    /// As many as fill [`TURN_NS`].
    Filled,
    /// One, where what a cycle takes is not what is timed.
    OneCycle,
}

/// The time of one subject over that of another, and what it may be.
pub(crate) struct Comparison {
    pub(crate) of: &'static Subject,
    pub(crate) to: &'static Subject,
    pub(crate) at_most: Option<f64>,
}

/// A subject that is running.
struct Series {
    label: &'static str,
    title: String,
    runner: Runner,
    /// As many as fill a turn.
    cycles: u64,
    /// Nanoseconds per cycle, one of each round.
    samples: Vec<f64>,
}

impl Interleaved {
    pub(crate) fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let mut all = self.all(bench, report)?;
        let rounds = if bench.is_quick { QUICK_ROUNDS } else { ROUNDS };
        for round in 0..rounds {
            if round % PROGRESS == 0 {
                eprintln!("  round {} of {}", round + 1, rounds);
            }
            for one in turns(all.len(), round) {
                all[one].take_turn()?;
            }
        }
        let metrics = self.comparisons.iter().filter_map(|one| one.metric(&all));
        report.metrics.extend(metrics);
        let flat = self.flat_within.map(|most| flatness(&all, most));
        report.metrics.extend(flat);
        for series in all {
            report.figures.push(series.end()?);
        }
        Ok(())
    }

    /// Those that can run, warm.
    fn all(&self, bench: &Bench, report: &mut Report) -> Result<Vec<Series>> {
        let mut all = Vec::new();
        for subject in self.subjects {
            if let Some(program) = bench.program_of(subject, report)? {
                let command = self.affinity.command(&program)?;
                let runner = Runner::start(bench, subject, self.affinity, command)?;
                all.push(self.series(subject.label, subject.title(bench), runner)?);
            }
        }
        Ok(all)
    }

    fn series(&self, label: &'static str, title: String, mut runner: Runner) -> Result<Series> {
        let cycles = match self.turn {
            Turn::Filled => cycles_of_a_turn(&mut runner)?,
            Turn::OneCycle => 1,
        };
        runner.run(cycles)?;
        Ok(Series {
            label,
            title,
            runner,
            cycles,
            samples: Vec::new(),
        })
    }
}

/// Who runs after whom: every other round in the opposite order, and every second one begins with another subject: nobody always runs
/// after the same one, or at the same beat of whatever else the machine does.
pub(crate) fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let affinity = if round % 2 == 0 {
            turn
        } else {
            count - 1 - turn
        };
        (affinity + round / 2) % count
    })
}

impl Series {
    fn end(self) -> Result<Measurement> {
        self.runner.end()?;
        Ok(Measurement::new(self.title, "ns per cycle", self.samples))
    }

    fn median(&self) -> f64 {
        Statistics::of(&self.samples).median
    }

    fn take_turn(&mut self) -> Result<()> {
        let took = self.runner.run(self.cycles)?;
        self.samples.push(took as f64 / self.cycles as f64);
        Ok(())
    }
}

/// Of medians: that of each round would tell of its noise.
fn flatness(all: &[Series], most: f64) -> Metric {
    let medians: Vec<f64> = all.iter().map(Series::median).collect();
    let statistics = Statistics::of(&medians);
    Metric {
        what: "largest median / least median".to_owned(),
        statistics: Statistics::of(&[statistics.max / statistics.min]),
        bar: Some(Bar::AtMost(most)),
    }
}

/// Doubles the number until half a turn is filled, and goes on from there by proportion. The shortest of a few runs counts: what holds
/// up one of them, and threads that are woken for it, are no cycles.
fn cycles_of_a_turn(runner: &mut Runner) -> Result<u64> {
    let mut cycles = 1;
    loop {
        let mut took = u64::MAX;
        for _ in 0..TRIALS {
            took = took.min(runner.run(cycles)?);
        }
        if took >= TURN_NS / 2 {
            return Ok((cycles * TURN_NS / took).max(1));
        }
        cycles *= 2;
    }
}

impl Comparison {
    /// `None` if one of the two is missing.
    fn metric(&self, all: &[Series]) -> Option<Metric> {
        let samples = |subject: &Subject| {
            let is_it = |series: &&Series| series.label == subject.label;
            all.iter().find(is_it).map(|series| &series.samples)
        };
        let pairs = samples(self.of)?.iter().zip(samples(self.to)?);
        let ratios: Vec<f64> = pairs.map(|(of, to)| of / to).collect();
        Some(Metric {
            what: format!("{} / {}", self.of.label, self.to.label),
            statistics: Statistics::of(&ratios),
            bar: self.at_most.map(Bar::AtMost),
        })
    }
}
