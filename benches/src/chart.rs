//! The cycles of all subjects as a drawing: a bar for each, the shortest on top, on a logarithmic
//! scale.

use std::path::Path;

use anyhow::{anyhow, ensure, Context, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Measurement, Report};

/// The cases whose measurements are those of a cycle by one thread.
const CASES: [&str; 2] = ["A", "A'"];
const OURS: &str = "libvconnpool";

const TITLE: &str = "An idle connection is taken and given back: time of a cycle, one thread";
const SCALE: &str = "ns per cycle, median; logarithmic scale, shorter is better";
const FONT: (&str, u32) = ("sans-serif", 13);
const OUR_BAR: RGBColor = RGBColor(9, 105, 218);
const THEIR_BAR: RGBColor = RGBColor(175, 184, 193);

/// Pixels.
const WIDTH: u32 = 900;
const ROW: u32 = 26;
const HEAD_AND_FOOT: u32 = 110;
const LABELS: u32 = 350;

/// Writes the chart; an error if none of its cases was run.
pub(crate) fn write(path: &Path, reports: &[Report]) -> Result<()> {
    let mut text = String::new();
    draw(&mut text, &measurements(reports)?)?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// The shortest first.
fn measurements(reports: &[Report]) -> Result<Vec<&Measurement>> {
    let shown = reports.iter().filter(|one| CASES.contains(&one.case));
    let mut shown: Vec<&Measurement> = shown.flat_map(|one| &one.measurements).collect();
    ensure!(!shown.is_empty(), "the chart shows cases A and A'");
    shown.sort_by(|one, other| median(one).total_cmp(&median(other)));
    Ok(shown)
}

fn median(measurement: &Measurement) -> f64 {
    measurement.statistics.median.max(1.0)
}

fn draw(text: &mut String, shown: &[&Measurement]) -> Result<()> {
    let rows = shown.len() as u32;
    let paper =
        SVGBackend::with_string(text, (WIDTH, ROW * rows + HEAD_AND_FOOT)).into_drawing_area();
    paper.fill(&WHITE).map_err(failed)?;
    // Powers of ten around all medians.
    let least = shown.first().map_or(1.0, |one| median(one));
    let most = shown.last().map_or(10.0, |one| median(one));
    let from = 10_f64.powf(least.log10().floor());
    let to = 10_f64.powf(most.log10().ceil());
    let mut chart = ChartBuilder::on(&paper)
        .caption(TITLE, ("sans-serif", 16))
        .margin(12)
        .margin_right(80)
        .y_label_area_size(LABELS)
        .x_label_area_size(40)
        .build_cartesian_2d((from..to).log_scale(), f64::from(rows)..0.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(SCALE)
        .x_label_formatter(&|nanos| format!("{nanos:.0}"))
        .label_style(FONT)
        .draw()
        .map_err(failed)?;
    let right = Pos::new(HPos::Right, VPos::Center);
    let left = Pos::new(HPos::Left, VPos::Center);
    for (row, one) in shown.iter().enumerate() {
        let (top, end) = (row as f64, median(one));
        let color = if one.label.starts_with(OURS) {
            OUR_BAR
        } else {
            THEIR_BAR
        };
        let bar = Rectangle::new([(from, top + 0.2), (end, top + 0.8)], color.filled());
        let label = EmptyElement::at((from, top + 0.5))
            + Text::new(
                one.label.clone(),
                (-8, 0),
                FONT.into_font().into_text_style(&paper).pos(right),
            );
        let amount = EmptyElement::at((end, top + 0.5))
            + Text::new(
                format!("{end:.0} ns"),
                (6, 0),
                FONT.into_font().into_text_style(&paper).pos(left),
            );
        chart.draw_series([bar]).map_err(failed)?;
        chart.draw_series([label]).map_err(failed)?;
        chart.draw_series([amount]).map_err(failed)?;
    }
    paper.present().map_err(failed)
}

/// The errors of plotters borrow what is drawn on.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the chart: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_has_a_bar_and_its_amount() {
        let measurement = |label: &str, nanos| Measurement::new(label, "ns per cycle", vec![nanos]);
        let shown = [
            measurement("libvconnpool", 59.6),
            measurement("r2d2", 1_234.0),
        ];
        let mut text = String::new();
        draw(&mut text, &shown.iter().collect::<Vec<_>>()).expect("a drawing");
        for part in [
            "60 ns",
            "1234 ns",
            "libvconnpool",
            "r2d2",
            "#0969DA",
            "#AFB8C1",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
