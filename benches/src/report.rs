//! What a case has shown: a measurement of each subject, and the metrics that bars are set for.

use serde::Serialize;

use crate::statistics::Statistics;

/// How many times the baseline's time or count ours may be (`--against`).
const NO_WORSE: f64 = 1.02;

/// The results of one case.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) case: &'static str,
    pub(crate) title: &'static str,
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) metrics: Vec<Metric>,
    /// Packages that are not installed, each with the subject that needs it.
    pub(crate) missing: Vec<String>,
    /// Whether the bars count: not when a case was cut short.
    pub(crate) is_judged: bool,
    /// The share of all CPUs that other programs had meanwhile; 0 where that changes nothing.
    pub(crate) noise: f64,
}

/// What was measured of one subject.
#[derive(Serialize)]
pub(crate) struct Measurement {
    pub(crate) label: String,
    pub(crate) unit: &'static str,
    pub(crate) statistics: Statistics,
    pub(crate) samples: Vec<f64>,
}

/// A number that a bar may be set for: a ratio, which has no unit, or a count.
#[derive(Serialize)]
pub(crate) struct Metric {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) statistics: Statistics,
    /// Of a ratio, that of the least samples: what is left of it where others held up neither.
    pub(crate) of_least: Option<f64>,
    pub(crate) bar: Option<Bar>,
}

/// What a metric may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Report {
    pub(crate) fn new(case: &'static str, title: &'static str) -> Self {
        Self {
            case,
            title,
            measurements: Vec::new(),
            metrics: Vec::new(),
            missing: Vec::new(),
            is_judged: true,
            noise: 0.0,
        }
    }

    pub(crate) fn misses(&mut self, label: &str, package: &str) {
        let what = format!("{label}: {package} is not installed");
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }

    /// Samples that are judged as they are.
    pub(crate) fn shows(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        samples: &[f64],
        bar: Option<Bar>,
    ) {
        self.metrics.push(Metric {
            what: what.into(),
            unit,
            statistics: Statistics::of(samples),
            of_least: None,
            bar,
        });
    }

    /// The ratio of two subjects, round by round.
    pub(crate) fn compares(
        &mut self,
        what: impl Into<String>,
        of: &[f64],
        to: &[f64],
        bar: Option<Bar>,
    ) {
        self.metrics.push(Metric {
            what: what.into(),
            unit: "",
            statistics: Statistics::of_ratios(of, to),
            of_least: Some(Statistics::of(of).min / Statistics::of(to).min),
            bar,
        });
    }

    /// The ratio of this tree's library to the baseline.
    pub(crate) fn compares_to_baseline(&mut self, label: &str, new: &[f64], old: &[f64]) {
        let what = format!("{label}: new / old");
        self.compares(what, new, old, Some(Bar::AtMost(NO_WORSE)));
    }

    /// `None`: there is no bar, or it does not count.
    pub(crate) fn holds(&self, metric: &Metric) -> Option<bool> {
        metric.holds().filter(|_| self.is_judged)
    }

    pub(crate) fn misses_a_bar(&self) -> bool {
        let mut metrics = self.metrics.iter();
        metrics.any(|metric| self.holds(metric) == Some(false))
    }
}

impl Measurement {
    pub(crate) fn new(label: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self {
            label: label.into(),
            unit,
            statistics: Statistics::of(&samples),
            samples,
        }
    }
}

impl Metric {
    /// `None`: there is no bar.
    fn holds(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::AtMost(most) => self.statistics.median <= most,
            Bar::AtLeast(least) => self.statistics.median >= least,
            Bar::Exactly(exactly) => self.statistics.median == exactly,
        })
    }
}
