//! Times of contestants that run in turn, A B A B, so that what drifts on the machine meets all of them alike. Ratios are
//! those of one round's pair.

use anyhow::Result;

use crate::case::Bench;
use crate::entrant::Entrant;
use crate::outcome::{Bar, Figure, Mark, Outcome};
use crate::place::Place;
use crate::program::Contestant;
use crate::spread::Spread;

/// One turn of a contestant: long beside a process switch, short beside the drift of the machine. Many short turns repeat
/// better than few long ones.
const TURN_NS: u64 = 20_000_000;
/// Runs of each number of cycles, on the way to that of a turn.
const TRIALS: usize = 3;
const ROUNDS: usize = 151;
const QUICK_ROUNDS: usize = 25;
/// Rounds between two words of progress.
const PROGRESS: usize = 25;

/// See the module.
pub(crate) struct Race {
    pub(crate) place: Place,
    pub(crate) turn: Turn,
    pub(crate) contestants: &'static [Contestant],
    pub(crate) comparisons: &'static [Comparison],
    /// How far the largest median may be from the least.
    pub(crate) flat_within: Option<f64>,
}

/// How many cycles a contestant runs at a time.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    /// As many as fill [`TURN_NS`].
    Filled,
    /// One, where what a cycle takes is not what is timed.
    OneCycle,
}

/// The time of one contestant over that of another, and what it may be.
pub(crate) struct Comparison {
    pub(crate) of: &'static Contestant,
    pub(crate) to: &'static Contestant,
    pub(crate) at_most: Option<f64>,
}

/// A contestant that is running.
struct Runner {
    label: &'static str,
    title: String,
    entrant: Entrant,
    /// As many as fill a turn.
    cycles: u64,
    /// Nanoseconds per cycle, one of each round.
    samples: Vec<f64>,
}

impl Race {
    pub(crate) fn run(&self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        let mut runners = self.runners(bench, outcome)?;
        let rounds = if bench.is_quick { QUICK_ROUNDS } else { ROUNDS };
        for round in 0..rounds {
            if round % PROGRESS == 0 {
                eprintln!("  round {} of {}", round + 1, rounds);
            }
            for one in turns(runners.len(), round) {
                runners[one].take_turn()?;
            }
        }
        let marks = self.comparisons.iter().filter_map(|one| one.mark(&runners));
        outcome.marks.extend(marks);
        let flat = self.flat_within.map(|most| flatness(&runners, most));
        outcome.marks.extend(flat);
        for runner in runners {
            outcome.figures.push(runner.end()?);
        }
        Ok(())
    }

    /// Those that can run, warm.
    fn runners(&self, bench: &Bench, outcome: &mut Outcome) -> Result<Vec<Runner>> {
        let mut runners = Vec::new();
        for contestant in self.contestants {
            if let Some(program) = bench.program_of(contestant, outcome)? {
                let command = self.place.command(&program)?;
                let entrant = Entrant::start(bench, contestant, self.place, command)?;
                runners.push(self.runner(contestant.label, contestant.title(bench), entrant)?);
            }
        }
        Ok(runners)
    }

    fn runner(&self, label: &'static str, title: String, mut entrant: Entrant) -> Result<Runner> {
        let cycles = match self.turn {
            Turn::Filled => cycles_of_a_turn(&mut entrant)?,
            Turn::OneCycle => 1,
        };
        entrant.run(cycles)?;
        Ok(Runner {
            label,
            title,
            entrant,
            cycles,
            samples: Vec::new(),
        })
    }
}

/// Who runs after whom: every other round in the opposite order, and every second one begins with another contestant: nobody always runs
/// after the same one, or at the same beat of whatever else the machine does.
pub(crate) fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let place = if round % 2 == 0 {
            turn
        } else {
            count - 1 - turn
        };
        (place + round / 2) % count
    })
}

impl Runner {
    fn end(self) -> Result<Figure> {
        self.entrant.end()?;
        Ok(Figure::new(self.title, "ns per cycle", self.samples))
    }

    fn median(&self) -> f64 {
        Spread::of(&self.samples).median
    }

    fn take_turn(&mut self) -> Result<()> {
        let took = self.entrant.run(self.cycles)?;
        self.samples.push(took as f64 / self.cycles as f64);
        Ok(())
    }
}

/// Of medians: that of each round would tell of its noise.
fn flatness(runners: &[Runner], most: f64) -> Mark {
    let medians: Vec<f64> = runners.iter().map(Runner::median).collect();
    let spread = Spread::of(&medians);
    Mark {
        what: "largest median / least median".to_owned(),
        spread: Spread::of(&[spread.max / spread.min]),
        bar: Some(Bar::AtMost(most)),
    }
}

/// Doubles the number until half a turn is filled, and goes on from there by proportion. The shortest of a few runs counts: what holds
/// up one of them, and threads that are woken for it, are no cycles.
fn cycles_of_a_turn(entrant: &mut Entrant) -> Result<u64> {
    let mut cycles = 1;
    loop {
        let mut took = u64::MAX;
        for _ in 0..TRIALS {
            took = took.min(entrant.run(cycles)?);
        }
        if took >= TURN_NS / 2 {
            return Ok((cycles * TURN_NS / took).max(1));
        }
        cycles *= 2;
    }
}

impl Comparison {
    /// `None` if one of the two is missing.
    fn mark(&self, runners: &[Runner]) -> Option<Mark> {
        let samples = |contestant: &Contestant| {
            let is_it = |runner: &&Runner| runner.label == contestant.label;
            runners.iter().find(is_it).map(|runner| &runner.samples)
        };
        let pairs = samples(self.of)?.iter().zip(samples(self.to)?);
        let ratios: Vec<f64> = pairs.map(|(of, to)| of / to).collect();
        Some(Mark {
            what: format!("{} / {}", self.of.label, self.to.label),
            spread: Spread::of(&ratios),
            bar: self.at_most.map(Bar::AtMost),
        })
    }
}
