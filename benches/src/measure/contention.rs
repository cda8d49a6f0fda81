//! How a pool treats a contention: threads that fight for few connections (`c/contention.h`), subjects in turn.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::case::Bench;
use crate::measure::interleaved::turns;
use crate::report::{Bar, Measurement, Metric, Report};
use crate::runner::Runner;
use crate::statistics::Statistics;
use crate::subject::Subject;

const ROUNDS: usize = 5;
const TURN_MS: u64 = 5_000;
const QUICK_TURN_MS: u64 = 1_000;
/// What the waits of a pool are worth a comparison for: one that lets some starve serves the others soon.
const FAIR: f64 = 0.9;

/// See the module.
pub(crate) struct Contention {
    pub(crate) ours: Subject,
    /// No pool at all: what threads that hand on to each other cost.
    pub(crate) bare: Subject,
    pub(crate) peers: &'static [Subject],
}

/// A subject that is running, with one sample of each round.
struct Series {
    label: &'static str,
    runner: Runner,
    /// The operations of the thread with the fewest over those of the one with the most.
    fairness: Vec<f64>,
    /// The worst thread's 99th percentile, in microseconds, as the following.
    p99: Vec<f64>,
    longest: Vec<f64>,
    mean: Vec<f64>,
}

impl Contention {
    pub(crate) fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let time = if bench.is_quick {
            QUICK_TURN_MS
        } else {
            TURN_MS
        };
        let mut all = Vec::new();
        for subject in [&self.ours, &self.bare].into_iter().chain(self.peers) {
            if let Some(program) = bench.program_of(subject, report)? {
                let command = Affinity::AnyCpu.command(&program)?;
                let runner = Runner::start(bench, subject, Affinity::AnyCpu, command)?;
                all.push(Series::new(subject.label, runner));
            }
        }
        for round in 0..ROUNDS {
            eprintln!("  round {} of {ROUNDS}", round + 1);
            for one in turns(all.len(), round) {
                all[one].take_turn(time)?;
            }
        }
        // The first two need no package, and are never missing.
        if let [ours, bare, peers @ ..] = &all[..] {
            report.metrics.extend(metrics(ours, bare, peers));
        }
        for series in all {
            report.figures.extend(series.end()?);
        }
        Ok(())
    }
}

impl Series {
    fn new(label: &'static str, runner: Runner) -> Self {
        Self {
            label,
            runner,
            fairness: Vec::new(),
            p99: Vec::new(),
            longest: Vec::new(),
            mean: Vec::new(),
        }
    }

    fn take_turn(&mut self, milliseconds: u64) -> Result<()> {
        let [least, most, p99, longest, mean] = self.runner.ask(milliseconds)?;
        let micros = |nanos: u64| nanos as f64 / 1e3;
        self.fairness.push(least as f64 / most.max(1) as f64);
        self.p99.push(micros(p99));
        self.longest.push(micros(longest));
        self.mean.push(micros(mean));
        Ok(())
    }

    fn is_fair(&self) -> bool {
        Statistics::of(&self.fairness).median >= FAIR
    }

    fn end(self) -> Result<[Measurement; 4]> {
        self.runner.end()?;
        let percent = self.fairness.iter().map(|share| share * 100.0).collect();
        let label = self.label;
        Ok([
            Measurement::new(format!("{label}: fewest of most operations"), "%", percent),
            Measurement::new(format!("{label}: worst thread's p99 wait"), "µs", self.p99),
            Measurement::new(format!("{label}: longest wait"), "µs", self.longest),
            Measurement::new(format!("{label}: mean wait"), "µs", self.mean),
        ])
    }
}

fn metrics(ours: &Series, bare: &Series, peers: &[Series]) -> Vec<Metric> {
    let mut metrics = vec![Metric {
        what: "fairness: fewest / most operations of a thread".to_owned(),
        statistics: Statistics::of(&ours.fairness),
        bar: Some(Bar::AtLeast(0.99)),
    }];
    let fair = peers.iter().filter(|peer| peer.is_fair());
    let best = fair.min_by(|one, other| median(&one.p99).total_cmp(&median(&other.p99)));
    metrics.extend(best.map(|best| Metric {
        what: format!(
            "worst p99 wait / that of the best fair peer ({})",
            best.label
        ),
        statistics: ratio(&ours.p99, &best.p99),
        bar: Some(Bar::AtMost(1.0)),
    }));
    metrics.extend(best.map(|best| Metric {
        what: format!("worst p99 wait of {} / the same", bare.label),
        statistics: ratio(&bare.p99, &best.p99),
        bar: None,
    }));
    let worst = peers
        .iter()
        .max_by(|one, other| median(&one.mean).total_cmp(&median(&other.mean)));
    metrics.extend(worst.map(|worst| Metric {
        what: format!(
            "longest wait / mean wait of the worst peer ({})",
            worst.label
        ),
        statistics: ratio(&ours.longest, &worst.mean),
        bar: Some(Bar::AtMost(5.0)),
    }));
    metrics
}

fn median(samples: &[f64]) -> f64 {
    Statistics::of(samples).median
}

/// Round by round.
fn ratio(of: &[f64], to: &[f64]) -> Statistics {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    Statistics::of(&ratios)
}
