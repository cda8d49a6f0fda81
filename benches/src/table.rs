//! An outcome as text.

use std::fmt::{self, Display, Formatter};

use crate::disturbance;
use crate::outcome::{Bar, Figure, Mark, Outcome};

/// The table of one case.
pub(crate) fn of(outcome: &Outcome) -> impl Display + '_ {
    Table(outcome)
}

struct Table<'a>(&'a Outcome);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let outcome = self.0;
        writeln!(f, "\n{}. {}", outcome.case, outcome.title)?;
        head(f, "", &["median", "min", "max", ""])?;
        outcome
            .figures
            .iter()
            .try_for_each(|figure| row_of_figure(f, figure))?;
        if !outcome.marks.is_empty() {
            head(f, "", &["median", "min", "max", "bar"])?;
        }
        outcome
            .marks
            .iter()
            .try_for_each(|mark| row_of_mark(f, outcome, mark))?;
        outcome
            .missing
            .iter()
            .try_for_each(|what| writeln!(f, "  MISSING {what}"))?;
        if outcome.disturbed > disturbance::MOST {
            let percent = outcome.disturbed * 100.0;
            writeln!(f, "  DISTURBED: others had {percent:.0} % of the CPUs; repeat this on a quiet machine")?;
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

fn row_of_figure(f: &mut Formatter<'_>, figure: &Figure) -> fmt::Result {
    let values = [figure.spread.median, figure.spread.min, figure.spread.max];
    let [median, min, max] = values.map(|value| format!("{value:.1}"));
    head(f, &figure.label, &[&median, &min, &max, figure.unit])
}

fn row_of_mark(f: &mut Formatter<'_>, outcome: &Outcome, mark: &Mark) -> fmt::Result {
    let values = [mark.spread.median, mark.spread.min, mark.spread.max];
    let [median, min, max] = values.map(|value| format!("{value:.3}"));
    head(f, &mark.what, &[&median, &min, &max, &bar(outcome, mark)])
}

fn bar(outcome: &Outcome, mark: &Mark) -> String {
    let (sign, bound) = match mark.bar {
        Some(Bar::AtMost(most)) => ('≤', most),
        Some(Bar::AtLeast(least)) => ('≥', least),
        Some(Bar::Exactly(exactly)) => ('=', exactly),
        None => return String::new(),
    };
    let verdict = match outcome.holds(mark) {
        Some(true) => "holds",
        Some(false) => "DOES NOT HOLD",
        None => "not judged",
    };
    format!("{sign} {bound}: {verdict}")
}

/// All bars in short, for the end of a run.
pub(crate) fn summary(outcomes: &[Outcome]) -> impl Display + '_ {
    Summary(outcomes)
}

struct Summary<'a>(&'a [Outcome]);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nBars")?;
        for outcome in self.0 {
            let marks = outcome.marks.iter().filter(|mark| mark.bar.is_some());
            for mark in marks {
                let (case, what, value) = (outcome.case, &mark.what, mark.spread.median);
                let bar = bar(outcome, mark);
                writeln!(f, "  {case:<3} {what:<74} {value:>10.3}  {bar}")?;
            }
        }
        Ok(())
    }
}
