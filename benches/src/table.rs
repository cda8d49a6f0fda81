//! An report as text.

use std::fmt::{self, Display, Formatter};

use crate::noise;
use crate::report::{Bar, Measurement, Metric, Report};

/// The table of one case.
pub(crate) fn of(report: &Report) -> impl Display + '_ {
    Table(report)
}

struct Table<'a>(&'a Report);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "\n{}. {}", report.case, report.title)?;
        head(f, "", &["median", "min", "max", ""])?;
        report
            .figures
            .iter()
            .try_for_each(|figure| row_of_figure(f, figure))?;
        if !report.metrics.is_empty() {
            head(f, "", &["median", "min", "max", "bar"])?;
        }
        report
            .metrics
            .iter()
            .try_for_each(|metric| row_of_mark(f, report, metric))?;
        report
            .missing
            .iter()
            .try_for_each(|what| writeln!(f, "  MISSING {what}"))?;
        if report.noise > noise::MOST {
            let percent = report.noise * 100.0;
            writeln!(
                f,
                "  NOISY: others had {percent:.0} % of the CPUs; repeat this on a quiet machine"
            )?;
        }
        Ok(())
    }
}

fn head(f: &mut Formatter<'_>, what: &str, columns: &[&str; 4]) -> fmt::Result {
    let [one, two, three, four] = columns;
    writeln!(
        f,
        "  {}",
        format!("{what:<78} {one:>10} {two:>10} {three:>10}  {four}").trim_end()
    )
}

fn row_of_figure(f: &mut Formatter<'_>, figure: &Measurement) -> fmt::Result {
    let values = [
        figure.statistics.median,
        figure.statistics.min,
        figure.statistics.max,
    ];
    let [median, min, max] = values.map(|value| format!("{value:.1}"));
    head(f, &figure.label, &[&median, &min, &max, figure.unit])
}

fn row_of_mark(f: &mut Formatter<'_>, report: &Report, metric: &Metric) -> fmt::Result {
    let values = [
        metric.statistics.median,
        metric.statistics.min,
        metric.statistics.max,
    ];
    let [median, min, max] = values.map(|value| format!("{value:.3}"));
    head(
        f,
        &metric.what,
        &[&median, &min, &max, &bar(report, metric)],
    )
}

fn bar(report: &Report, metric: &Metric) -> String {
    let (sign, bound) = match metric.bar {
        Some(Bar::AtMost(most)) => ('≤', most),
        Some(Bar::AtLeast(least)) => ('≥', least),
        Some(Bar::Exactly(exactly)) => ('=', exactly),
        None => return String::new(),
    };
    let verdict = match report.holds(metric) {
        Some(true) => "holds",
        Some(false) => "DOES NOT HOLD",
        None => "not judged",
    };
    format!("{sign} {bound}: {verdict}")
}

/// All bars in short, for the end of a run.
pub(crate) fn summary(reports: &[Report]) -> impl Display + '_ {
    Summary(reports)
}

struct Summary<'a>(&'a [Report]);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nBars")?;
        for report in self.0 {
            let metrics = report.metrics.iter().filter(|metric| metric.bar.is_some());
            for metric in metrics {
                let (case, what, value) = (report.case, &metric.what, metric.statistics.median);
                let bar = bar(report, metric);
                writeln!(f, "  {case:<3} {what:<74} {value:>10.3}  {bar}")?;
            }
        }
        Ok(())
    }
}
