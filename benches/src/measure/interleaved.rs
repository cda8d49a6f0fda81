//! Times of subjects that run in turn, A B A B, so that what drifts on the machine meets all of
//! them alike. Ratios are those of one round's pair.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Measurement, Report};
use crate::runner::Runner;
use crate::statistics::Statistics;
use crate::subject::{Library, Subject};
use crate::turns::turns;

/// One turn of a subject: long beside a process switch, short beside the drift of the machine. Many
/// short turns repeat better than few long ones.
const TURN_NS: u64 = 20_000_000;
/// Runs of each number of cycles, on the way to that of a turn.
const TRIALS: usize = 3;
/// How often all subjects are started anew, and the rounds of each time: where the kernel puts a
/// process's pages, and the seeds of its hashes, are worth up to half of a time that is bound by
/// memory.
const STARTS: usize = 5;
const ROUNDS: usize = 31;
const QUICK_ROUNDS: usize = 5;

/// Subjects that take turns, and whose times are compared.
pub(crate) struct Interleaved {
    pub(crate) affinity: Affinity,
    pub(crate) turn: Turn,
    pub(crate) subjects: &'static [Subject],
    pub(crate) comparisons: &'static [Comparison],
    /// How many times the least median of all subjects the largest may be.
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

/// A subject, and its nanoseconds per cycle, one of each round.
struct Series {
    subject: Subject,
    samples: Vec<f64>,
}

/// A subject that is running.
struct Running {
    runner: Runner,
    /// As many as fill a turn.
    cycles: u64,
}

impl Measure for Interleaved {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let mut series = self.series(bench, report)?;
        for start in 0..STARTS {
            eprintln!("  start {} of {STARTS}", start + 1);
            self.run_once(bench, report, &mut series)?;
        }
        self.compare(&series, report);
        let all = series.into_iter().map(|one| one.measurement(bench));
        report.measurements.extend(all);
        Ok(())
    }

    fn is_timed(&self) -> bool {
        true
    }
}

impl Interleaved {
    /// Those that can run.
    fn series(&self, bench: &Bench, report: &mut Report) -> Result<Vec<Series>> {
        let mut series = Vec::new();
        for subject in bench.with_twins(self.subjects) {
            if bench.program_of(&subject, report)?.is_some() {
                let samples = Vec::new();
                series.push(Series { subject, samples });
            }
        }
        Ok(series)
    }

    /// Starts all of them, lets them run their rounds, and ends them.
    fn run_once(&self, bench: &Bench, report: &mut Report, series: &mut [Series]) -> Result<()> {
        let mut running = Vec::new();
        for one in &*series {
            running.extend(self.start(bench, report, &one.subject)?);
        }
        let rounds = if bench.is_quick { QUICK_ROUNDS } else { ROUNDS };
        for round in 0..rounds {
            for one in turns(series.len(), round) {
                series[one].samples.push(running[one].take_turn()?);
            }
        }
        running.into_iter().try_for_each(|one| one.runner.end())
    }

    /// Warm.
    fn start(
        &self,
        bench: &Bench,
        report: &mut Report,
        subject: &Subject,
    ) -> Result<Option<Running>> {
        let Some(program) = bench.program_of(subject, report)? else {
            return Ok(None);
        };
        let command = self.affinity.command(&program)?;
        let mut runner = Runner::start(bench, subject, self.affinity, command)?;
        let cycles = match self.turn {
            Turn::Filled => cycles_of_a_turn(&mut runner)?,
            Turn::OneCycle => 1,
        };
        runner.run(cycles)?;
        Ok(Some(Running { runner, cycles }))
    }

    fn compare(&self, series: &[Series], report: &mut Report) {
        for Comparison { of, to, at_most } in self.comparisons {
            if let (Some(of), Some(to)) = (find(series, of), find(series, to)) {
                let what = format!("{} / {}", of.subject.label, to.subject.label);
                let bar = at_most.map(Bar::AtMost);
                report.compares(what, &of.samples, &to.samples, bar);
            }
        }
        if let Some(most) = self.flat_within {
            report.shows(
                "largest median / least median",
                "",
                &[flatness(series)],
                Some(Bar::AtMost(most)),
            );
        }
        for new in series.iter().filter(|one| one.is_tested()) {
            if let Some(old) = find(series, &new.subject.over(Library::Baseline)) {
                report.compares_to_baseline(new.subject.label, &new.samples, &old.samples);
            }
        }
    }
}

/// `None` if it is missing.
fn find<'a>(series: &'a [Series], subject: &Subject) -> Option<&'a Series> {
    series.iter().find(|one| one.subject.is(subject))
}

/// Of medians: the ratios of each round would tell of its noise.
fn flatness(series: &[Series]) -> f64 {
    let medians = series.iter().filter(|one| one.is_tested());
    let medians: Vec<f64> = medians.map(Series::median).collect();
    let statistics = Statistics::of(&medians);
    statistics.max / statistics.min
}

impl Series {
    fn is_tested(&self) -> bool {
        self.subject.library == Library::Tested
    }

    fn median(&self) -> f64 {
        Statistics::of(&self.samples).median
    }

    fn measurement(self, bench: &Bench) -> Measurement {
        let title = self.subject.title(bench.descriptors);
        Measurement::new(title, "ns per cycle", self.samples)
    }
}

impl Running {
    /// Nanoseconds per cycle.
    fn take_turn(&mut self) -> Result<f64> {
        let took = self.runner.run(self.cycles)?;
        Ok(took as f64 / self.cycles as f64)
    }
}

/// Doubles the number until half a turn is filled, and goes on from there by proportion. The
/// shortest of a few runs counts: what holds up one of them, and threads that are woken for it, are
/// no cycles.
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
