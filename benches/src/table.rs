//! Reports as Markdown tables: docs/performance.md and docs/targets.md take their rows.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::noise;
use crate::report::{Bar, Measurement, Metric, Report};

/// The tables of one case.
pub(crate) fn of_case(report: &Report) -> String {
    let mut text = format!("\n### {}. {}\n\n", report.case, report.title);
    if !report.measurements.is_empty() {
        let head = ["", "median", "min", "max", "unit"];
        let rows = report.measurements.iter().map(row_of_measurement);
        text += &format!("{}\n\n", table(&head, rows));
    }
    if !report.metrics.is_empty() {
        let head = ["", "median", "min", "max", "of the least", "unit", "bar"];
        let rows = report.metrics.iter();
        let rows = rows.map(|metric| row_of_metric(report, metric));
        text += &format!("{}\n", table(&head, rows));
    }
    for what in &report.missing {
        text += &format!("\nMISSING: {what}\n");
    }
    if report.noise > noise::MOST {
        let percent = report.noise * 100.0;
        text += &format!(
            "\nNOISY: others had {percent:.0} % of the CPUs; repeat this on a quiet machine\n"
        );
    }
    text
}

/// All bars, for the end of a run.
pub(crate) fn of_bars(reports: &[Report]) -> String {
    let head = ["case", "what", "bar", "measured", "of the least", ""];
    let rows = reports.iter().flat_map(rows_of_bars);
    format!("\n### Bars\n\n{}\n", table(&head, rows))
}

fn rows_of_bars(report: &Report) -> impl Iterator<Item = Vec<String>> + '_ {
    let judged = report.metrics.iter().filter(|metric| metric.bar.is_some());
    judged.map(|metric| {
        let what = match metric.unit {
            "" => metric.what.clone(),
            unit => format!("{}, {unit}", metric.what),
        };
        let (bar, verdict) = bar(report, metric);
        let measured = number(metric.statistics.median);
        [
            report.case.to_owned(),
            what,
            bar,
            measured,
            least(metric),
            verdict.to_owned(),
        ]
        .into()
    })
}

fn table<const N: usize>(head: &[&str; N], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head.iter())
        .add_rows(rows.map(|row| row.into_iter().map(|cell| cell.replace('|', "\\|"))));
    for (column, _) in table
        .column_iter_mut()
        .zip(head)
        .filter(|(_, head)| is_number(head))
    {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn is_number(head: &str) -> bool {
    matches!(head, "median" | "min" | "max" | "measured" | "of the least")
}

fn row_of_measurement(measurement: &Measurement) -> Vec<String> {
    let Measurement {
        label,
        unit,
        statistics,
        ..
    } = measurement;
    let values = [statistics.median, statistics.min, statistics.max];
    let [median, min, max] = values.map(number);
    [label.clone(), median, min, max, (*unit).to_owned()].into()
}

fn row_of_metric(report: &Report, metric: &Metric) -> Vec<String> {
    let Metric {
        what,
        unit,
        statistics,
        ..
    } = metric;
    let values = [statistics.median, statistics.min, statistics.max];
    let [median, min, max] = values.map(number);
    let (bar, verdict) = bar(report, metric);
    let bar = format!("{bar} {verdict}").trim().to_owned();
    let least = least(metric);
    [
        what.clone(),
        median,
        min,
        max,
        least,
        (*unit).to_owned(),
        bar,
    ]
    .into()
}

/// The ratio of the least samples; empty where there is none.
fn least(metric: &Metric) -> String {
    metric.of_least.map(number).unwrap_or_default()
}

/// The bar, and whether it holds; empty texts if there is none.
fn bar(report: &Report, metric: &Metric) -> (String, &'static str) {
    let (sign, bound) = match metric.bar {
        Some(Bar::AtMost(most)) => ('≤', most),
        Some(Bar::AtLeast(least)) => ('≥', least),
        Some(Bar::Exactly(exactly)) => ('=', exactly),
        None => return (String::new(), ""),
    };
    let verdict = match report.holds(metric) {
        Some(true) => "holds",
        Some(false) => "**missed**",
        None => "not judged",
    };
    (format!("{sign} {}", number(bound)), verdict)
}

/// Three digits behind the point for what is small, one for what is not, and commas between
/// thousands.
fn number(value: f64) -> String {
    let text = match value.abs() {
        ..10.0 => format!("{value:.3}"),
        ..10_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    let text = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => &text,
    };
    with_commas(text)
}

fn with_commas(text: &str) -> String {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_their_thousands_apart() {
        let cases = [
            (1.0, "1"),
            (0.3525, "0.352"),
            (53.04, "53"),
            (1_319_336.0, "1,319,336"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_missed_bar_is_told() {
        let mut report = Report::new("A", "cycle");
        report.shows("a | b", "", &[2.0], Some(Bar::AtMost(1.5)));
        let text = of_bars(&[report]);
        for part in ["a \\| b", "≤ 1.5", "**missed**"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
