//! For a person: a line of numbers, a table of destinations, what has leaked, what was counted.
#![forbid(unsafe_code)]

use std::fmt::Write;

use super::{limits_of, Report};
use crate::pool::state::answer::Numbers;

/// One line, whatever it contains.
fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|one| {
            let is_control = one.is_control();
            let escaped = is_control.then(|| one.escape_default());
            let as_it_is = (!is_control).then_some(one);
            escaped.into_iter().flatten().chain(as_it_is)
        })
        .collect()
}

pub(super) fn of(report: &Report) -> String {
    let mut out = String::new();
    let stats = &report.stats;
    let closed = if report.is_closed { " (drained)" } else { "" };
    let name = match &*report.name {
        "" => String::new(),
        name => format!(" {}", plain(name)),
    };
    let releasing = match stats.releasing {
        0 => String::new(),
        some => format!(" (releasing {some})"),
    };
    line(
        &mut out,
        &format!(
            "pool{name}{closed}: idle {} borrowed {}{releasing} dialing {} waiting {}",
            stats.idle, stats.borrowed, stats.dialing, stats.waiting
        ),
    );
    let limits = limits_of(&report.limits).into_iter();
    let limits: Vec<String> = limits.map(|(name, max)| format!("{name} {max}")).collect();
    line(&mut out, &format!("limits: {}", limits.join(" ")));
    if !report.rows.is_empty() {
        out.push('\n');
        table(&mut out, &report.rows);
    }
    if !report.leaks.is_empty() {
        line(&mut out, "\nborrowed for too long:");
        for leak in &report.leaks {
            let label = match leak.label.as_deref() {
                None | Some("") => String::new(),
                Some(label) => format!(" by {}", plain(label)),
            };
            let destination = plain(&leak.destination.to_string());
            let ms = leak.lasts.as_millis();
            line(
                &mut out,
                &format!("  fd {} {destination} for {ms} ms{label}", leak.fd),
            );
        }
    }
    line(&mut out, "\nsince the pool was made:");
    for counter in stats
        .counters
        .named()
        .iter()
        .filter(|counter| counter.value > 0)
    {
        line(&mut out, &format!("  {} {}", counter.name, counter.value));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn table(out: &mut String, rows: &[Numbers]) {
    const TITLES: [&str; 7] = [
        "network", "address", "tag", "idle", "borrowed", "dialing", "waiting",
    ];
    let cells = rows.iter().map(|row| {
        let address = &row.destination.address;
        [
            address.network.to_string(),
            plain(&address.text),
            plain(&row.destination.tag),
            row.idle.to_string(),
            row.borrowed.to_string(),
            row.dialing.to_string(),
            row.waiting.to_string(),
        ]
    });
    let lines: Vec<[String; 7]> = std::iter::once(TITLES.map(str::to_owned))
        .chain(cells)
        .collect();
    let width = |column: usize| {
        let widths = lines.iter().map(|cells| cells[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    for cells in &lines {
        let mut padded = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            // Texts begin at the left, numbers end at the right. Writing to a String cannot fail.
            let _ = if column < 3 {
                write!(padded, "{gap}{cell:<width$}")
            } else {
                write!(padded, "{gap}{cell:>width$}")
            };
        }
        line(out, padded.trim_end());
    }
}
