//! What a case has shown: a figure per contestant, and each figure that has a bar beside it.

use serde::Serialize;

use crate::spread::Spread;

/// One case's figures.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) case: &'static str,
    pub(crate) title: &'static str,
    pub(crate) figures: Vec<Figure>,
    pub(crate) marks: Vec<Mark>,
    /// Packages that are not installed, each with the contestant that needs it.
    pub(crate) missing: Vec<String>,
    /// Whether the bars count: not when a case was cut short.
    pub(crate) is_judged: bool,
    /// The share of all CPUs that other programs had meanwhile; 0 where that changes nothing.
    pub(crate) disturbed: f64,
}

/// What was measured of one contestant.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) label: String,
    pub(crate) unit: &'static str,
    pub(crate) spread: Spread,
    pub(crate) samples: Vec<f64>,
}

/// A figure that a bar may be set for.
#[derive(Serialize)]
pub(crate) struct Mark {
    pub(crate) what: String,
    pub(crate) spread: Spread,
    pub(crate) bar: Option<Bar>,
}

/// What a figure may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Outcome {
    pub(crate) fn new(case: &'static str, title: &'static str) -> Self {
        Self {
            case,
            title,
            figures: Vec::new(),
            marks: Vec::new(),
            missing: Vec::new(),
            is_judged: true,
            disturbed: 0.0,
        }
    }

    pub(crate) fn misses(&mut self, label: &str, package: &str) {
        let what = format!("{label}: {package} is not installed");
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }

    /// A figure that is judged as it is, not by comparison.
    pub(crate) fn shows(&mut self, figure: Figure, bar: Option<Bar>) {
        self.marks.push(Mark {
            what: figure.label.clone(),
            spread: figure.spread,
            bar,
        });
        self.figures.push(figure);
    }

    /// The same for one that was taken once.
    pub(crate) fn counts(&mut self, label: &str, unit: &'static str, count: f64, bar: Option<Bar>) {
        self.shows(Figure::new(label, unit, vec![count]), bar);
    }

    /// `None`: there is no bar, or it does not count.
    pub(crate) fn holds(&self, mark: &Mark) -> Option<bool> {
        mark.holds().filter(|_| self.is_judged)
    }

    pub(crate) fn misses_a_bar(&self) -> bool {
        let mut marks = self.marks.iter();
        marks.any(|mark| self.holds(mark) == Some(false))
    }
}

impl Figure {
    pub(crate) fn new(label: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self {
            label: label.into(),
            unit,
            spread: Spread::of(&samples),
            samples,
        }
    }
}

impl Mark {
    /// `None`: there is no bar.
    fn holds(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::AtMost(most) => self.spread.median <= most,
            Bar::AtLeast(least) => self.spread.median >= least,
            Bar::Exactly(exactly) => self.spread.median == exactly,
        })
    }
}
