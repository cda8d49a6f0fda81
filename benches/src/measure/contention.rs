//! Threads that wait for few connections (`c/contention.h`): fairness and the lengths of waits,
//! subjects in turn.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Measurement, Report};
use crate::runner::Runner;
use crate::statistics::Statistics;
use crate::subject::Subject;
use crate::turns::turns;

const ROUNDS: usize = 5;
const TURN_MS: u64 = 5_000;
const QUICK_TURN_MS: u64 = 1_000;
/// The least fairness of a peer whose waits are compared: one that lets some starve serves the
/// others soon.
const FAIR: f64 = 0.9;

/// Our pool, what threads can do at best, and the peers.
pub(crate) struct Contention {
    pub(crate) ours: Subject,
    /// No pool at all: what threads that hand on to each other cost.
    pub(crate) bare: Subject,
    pub(crate) peers: &'static [Subject],
    /// Of the operations of the thread with the most, those of the one with the fewest.
    pub(crate) fairness: f64,
    /// How many times the bare one's 99th percentile of a wait ours may be.
    pub(crate) p99_within: f64,
}

/// A subject that is running, with one sample of each round.
struct Series {
    subject: Subject,
    runner: Runner,
    /// The operations of the thread with the fewest over those of the one with the most.
    fairness: Vec<f64>,
    /// The worst thread's 99th percentile, in microseconds, as the following.
    p99: Vec<f64>,
    longest: Vec<f64>,
    mean: Vec<f64>,
}

impl Measure for Contention {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let time = if bench.is_quick {
            QUICK_TURN_MS
        } else {
            TURN_MS
        };
        let mut series = self.start_all(bench, report)?;
        for round in 0..ROUNDS {
            eprintln!("  round {} of {ROUNDS}", round + 1);
            for one in turns(series.len(), round) {
                series[one].take_turn(time)?;
            }
        }
        self.compare(&series, report);
        for one in series {
            report.measurements.extend(one.end(bench)?);
        }
        Ok(())
    }

    fn is_timed(&self) -> bool {
        true
    }
}

impl Contention {
    /// Ours, the bare one, the peers that are installed, the twin of ours.
    fn start_all(&self, bench: &Bench, report: &mut Report) -> Result<Vec<Series>> {
        let mut series = Vec::new();
        let subjects = [self.ours, self.bare]
            .into_iter()
            .chain(self.peers.iter().copied());
        for subject in subjects.chain(bench.twin_of(&self.ours)) {
            if let Some(program) = bench.program_of(&subject, report)? {
                let command = Affinity::AnyCpu.command(&program)?;
                let runner = Runner::start(bench, &subject, Affinity::AnyCpu, command)?;
                series.push(Series::new(subject, runner));
            }
        }
        Ok(series)
    }

    fn compare(&self, series: &[Series], report: &mut Report) {
        // The first two need no package, and are never missing.
        let [ours, bare, others @ ..] = series else {
            return;
        };
        let fairness = Some(Bar::AtLeast(self.fairness));
        report.shows(
            "fairness: fewest / most operations of a thread",
            "",
            &ours.fairness,
            fairness,
        );
        let what = format!("worst p99 wait / that of {}", bare.subject.label);
        let within = Some(Bar::AtMost(self.p99_within));
        report.compares(what, &ours.p99, &bare.p99, within);
        let (twins, peers): (Vec<&Series>, Vec<&Series>) =
            others.iter().partition(|one| one.subject.is_ours());
        let fair = peers.iter().filter(|peer| peer.is_fair());
        let by_p99 = |one: &&&Series, other: &&&Series| one.worst().total_cmp(&other.worst());
        if let Some(best) = fair.min_by(by_p99) {
            let label = best.subject.label;
            let what = format!("worst p99 wait / that of the best fair peer ({label})");
            report.compares(what, &ours.p99, &best.p99, None);
        }
        for old in twins {
            report.compares_to_baseline("worst p99 wait", &ours.p99, &old.p99);
        }
    }
}

impl Series {
    fn new(subject: Subject, runner: Runner) -> Self {
        Self {
            subject,
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

    fn worst(&self) -> f64 {
        Statistics::of(&self.p99).median
    }

    fn end(self, bench: &Bench) -> Result<[Measurement; 4]> {
        self.runner.end()?;
        let percent = self.fairness.iter().map(|share| share * 100.0).collect();
        let label = self.subject.title(bench.descriptors);
        let of = |what: &str| format!("{label}: {what}");
        Ok([
            Measurement::new(of("fewest of most operations"), "%", percent),
            Measurement::new(of("worst thread's p99 wait"), "µs", self.p99),
            Measurement::new(of("longest wait"), "µs", self.longest),
            Measurement::new(of("mean wait"), "µs", self.mean),
        ])
    }
}
