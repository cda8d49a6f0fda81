//! The cycles of all subjects as a drawing: a bar for each, the shortest on top, on a logarithmic scale.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use svg::node::element::{Line, Rectangle, Text};
use svg::Document;

use crate::report::{Measurement, Report};

/// The cases whose figures are those of a cycle by one thread.
const CASES: [&str; 2] = ["A", "A'"];
const OURS: &str = "libvconnpool";

const TITLE: &str = "An idle connection is taken and given back: time of a cycle, one thread";
const SCALE: &str = "ns per cycle, median; logarithmic scale, shorter is better";
const FONT: &str = "system-ui, sans-serif";
const INK: &str = "#1f2328";
const FAINT: &str = "#59636e";
const GRID: &str = "#d1d9e0";
const OUR_BAR: &str = "#0969da";
const THEIR_BAR: &str = "#afb8c1";

/// Pixels.
const WIDTH: f64 = 900.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const HEAD: f64 = 64.0;
const FOOT: f64 = 34.0;
/// Where the scale begins, and ends.
const LEFT: f64 = 350.0;
const RIGHT: f64 = WIDTH - 80.0;

/// Writes the chart; an error if none of its cases was run.
pub(crate) fn write(path: &Path, reports: &[Report]) -> Result<()> {
    let shown = reports.iter().filter(|report| CASES.contains(&report.case));
    let mut figures: Vec<&Measurement> = shown.flat_map(|report| &report.figures).collect();
    ensure!(!figures.is_empty(), "the chart shows cases A and A'");
    figures.sort_by(|one, other| one.statistics.median.total_cmp(&other.statistics.median));
    let document = of(&figures);
    svg::save(path, &document).with_context(|| path.display().to_string())
}

fn of(figures: &[&Measurement]) -> Document {
    let height = HEAD + ROW * figures.len() as f64 + FOOT;
    let medians = figures.iter().map(|figure| figure.statistics.median);
    let scale = Scale::over(medians.clone());
    let paper = Rectangle::new()
        .set("width", "100%")
        .set("height", "100%")
        .set("fill", "#ffffff");
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("font-family", FONT)
        .set("role", "img")
        .set("aria-label", TITLE)
        .add(paper)
        .add(text(TITLE, 16.0, 26.0, "start", INK).set("font-size", 16))
        .add(text(SCALE, 16.0, 46.0, "start", FAINT));
    for exponent in scale.first..=scale.last {
        document = scale.add_line(document, exponent, height - FOOT);
    }
    for (row, figure) in figures.iter().enumerate() {
        document = scale.add_row(document, HEAD + ROW * row as f64, figure);
    }
    document
}

/// Whole powers of ten, from one that is less than all medians.
struct Scale {
    first: i32,
    last: i32,
}

impl Scale {
    fn over(medians: impl Iterator<Item = f64> + Clone) -> Self {
        let least = medians.clone().fold(f64::INFINITY, f64::min);
        let most = medians.fold(1.0, f64::max);
        let first = least.max(1.0).log10().floor() as i32;
        let last = (most.log10().ceil() as i32).max(first + 1);
        Self { first, last }
    }

    fn x(&self, nanos: f64) -> f64 {
        let share =
            (nanos.max(1.0).log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn add_line(&self, document: Document, exponent: i32, bottom: f64) -> Document {
        let nanos = 10_f64.powi(exponent);
        let x = self.x(nanos);
        let line = Line::new()
            .set("x1", x)
            .set("x2", x)
            .set("y1", HEAD - 4.0)
            .set("y2", bottom)
            .set("stroke", GRID);
        document
            .add(line)
            .add(text(&amount(nanos), x, bottom + 18.0, "middle", FAINT))
    }

    fn add_row(&self, document: Document, y: f64, figure: &Measurement) -> Document {
        let nanos = figure.statistics.median;
        let color = if figure.label.starts_with(OURS) {
            OUR_BAR
        } else {
            THEIR_BAR
        };
        let bar = Rectangle::new()
            .set("x", LEFT)
            .set("y", y + (ROW - BAR) / 2.0)
            .set("width", self.x(nanos) - LEFT)
            .set("height", BAR)
            .set("fill", color);
        let middle = y + ROW / 2.0 + 4.0;
        document
            .add(text(&figure.label, LEFT - 8.0, middle, "end", INK))
            .add(bar)
            .add(text(
                &amount(nanos),
                self.x(nanos) + 6.0,
                middle,
                "start",
                INK,
            ))
    }
}

fn text(content: &str, x: f64, y: f64, anchor: &str, color: &str) -> Text {
    Text::new(content)
        .set("x", x)
        .set("y", y)
        .set("text-anchor", anchor)
        .set("font-size", 12)
        .set("fill", color)
}

fn amount(nanos: f64) -> String {
    let whole = format!("{nanos:.0}");
    match whole.len() {
        ..=3 => format!("{whole} ns"),
        digits => format!("{},{} ns", &whole[..digits - 3], &whole[digits - 3..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_bar_and_its_amount() {
        let figure = |label: &str, nanos| Measurement::new(label, "ns per cycle", vec![nanos]);
        let figures = [figure("libvconnpool", 59.6), figure("r2d2", 1_234.0)];
        let drawn = of(&figures.iter().collect::<Vec<_>>()).to_string();
        for part in ["60 ns", "1,234 ns", "10,000 ns", OUR_BAR, THEIR_BAR] {
            assert!(drawn.contains(part), "{part} is missing in {drawn}");
        }
    }
}
