//! How a pool treats a crowd: threads that fight for few connections (`c/crowd.h`), contestants in turn.

use anyhow::Result;

use crate::case::Bench;
use crate::entrant::Entrant;
use crate::outcome::{Bar, Figure, Mark, Outcome};
use crate::place::Place;
use crate::program::Contestant;
use crate::race::turns;
use crate::spread::Spread;

const ROUNDS: usize = 5;
const TURN_MS: u64 = 5_000;
const QUICK_TURN_MS: u64 = 1_000;
/// What the waits of a pool are worth a comparison for: one that lets some starve serves the others soon.
const FAIR: f64 = 0.9;

/// See the module.
pub(crate) struct Crowd {
    pub(crate) ours: Contestant,
    /// No pool at all: what threads that hand on to each other cost.
    pub(crate) bare: Contestant,
    pub(crate) peers: &'static [Contestant],
}

/// A contestant that is running, with one sample of each round.
struct Runner {
    label: &'static str,
    entrant: Entrant,
    /// The operations of the thread with the fewest over those of the one with the most.
    fairness: Vec<f64>,
    /// The worst thread's 99th percentile, in microseconds, as the following.
    p99: Vec<f64>,
    longest: Vec<f64>,
    mean: Vec<f64>,
}

impl Crowd {
    pub(crate) fn run(&self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        let time = if bench.is_quick {
            QUICK_TURN_MS
        } else {
            TURN_MS
        };
        let mut runners = Vec::new();
        for contestant in [&self.ours, &self.bare].into_iter().chain(self.peers) {
            if let Some(program) = bench.program_of(contestant, outcome)? {
                let command = Place::Anywhere.command(&program)?;
                let entrant = Entrant::start(bench, contestant, Place::Anywhere, command)?;
                runners.push(Runner::new(contestant.label, entrant));
            }
        }
        for round in 0..ROUNDS {
            eprintln!("  round {} of {ROUNDS}", round + 1);
            for one in turns(runners.len(), round) {
                runners[one].take_turn(time)?;
            }
        }
        // The first two need no package, and are never missing.
        if let [ours, bare, peers @ ..] = &runners[..] {
            outcome.marks.extend(marks(ours, bare, peers));
        }
        for runner in runners {
            outcome.figures.extend(runner.end()?);
        }
        Ok(())
    }
}

impl Runner {
    fn new(label: &'static str, entrant: Entrant) -> Self {
        Self {
            label,
            entrant,
            fairness: Vec::new(),
            p99: Vec::new(),
            longest: Vec::new(),
            mean: Vec::new(),
        }
    }

    fn take_turn(&mut self, milliseconds: u64) -> Result<()> {
        let [least, most, p99, longest, mean] = self.entrant.ask(milliseconds)?;
        let micros = |nanos: u64| nanos as f64 / 1e3;
        self.fairness.push(least as f64 / most.max(1) as f64);
        self.p99.push(micros(p99));
        self.longest.push(micros(longest));
        self.mean.push(micros(mean));
        Ok(())
    }

    fn is_fair(&self) -> bool {
        Spread::of(&self.fairness).median >= FAIR
    }

    fn end(self) -> Result<[Figure; 4]> {
        self.entrant.end()?;
        let percent = self.fairness.iter().map(|share| share * 100.0).collect();
        let label = self.label;
        Ok([
            Figure::new(format!("{label}: fewest of most operations"), "%", percent),
            Figure::new(format!("{label}: worst thread's p99 wait"), "µs", self.p99),
            Figure::new(format!("{label}: longest wait"), "µs", self.longest),
            Figure::new(format!("{label}: mean wait"), "µs", self.mean),
        ])
    }
}

fn marks(ours: &Runner, bare: &Runner, peers: &[Runner]) -> Vec<Mark> {
    let mut marks = vec![Mark {
        what: "fairness: fewest / most operations of a thread".to_owned(),
        spread: Spread::of(&ours.fairness),
        bar: Some(Bar::AtLeast(0.99)),
    }];
    let fair = peers.iter().filter(|peer| peer.is_fair());
    let best = fair.min_by(|one, other| median(&one.p99).total_cmp(&median(&other.p99)));
    marks.extend(best.map(|best| Mark {
        what: format!(
            "worst p99 wait / that of the best fair peer ({})",
            best.label
        ),
        spread: ratio(&ours.p99, &best.p99),
        bar: Some(Bar::AtMost(1.0)),
    }));
    marks.extend(best.map(|best| Mark {
        what: format!("worst p99 wait of {} / the same", bare.label),
        spread: ratio(&bare.p99, &best.p99),
        bar: None,
    }));
    let worst = peers
        .iter()
        .max_by(|one, other| median(&one.mean).total_cmp(&median(&other.mean)));
    marks.extend(worst.map(|worst| Mark {
        what: format!(
            "longest wait / mean wait of the worst peer ({})",
            worst.label
        ),
        spread: ratio(&ours.longest, &worst.mean),
        bar: Some(Bar::AtMost(5.0)),
    }));
    marks
}

fn median(samples: &[f64]) -> f64 {
    Spread::of(samples).median
}

/// Round by round.
fn ratio(of: &[f64], to: &[f64]) -> Spread {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    Spread::of(&ratios)
}
