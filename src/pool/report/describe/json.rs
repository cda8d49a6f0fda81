//! JSON (RFC 8259), one object on one line.
#![forbid(unsafe_code)]

use std::fmt::Write;

use super::{limits_of, Report};

/// A string with its quotes. RFC 8259, section 7: quotes, backslashes and control characters are
/// escaped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for one in text.chars() {
        match one {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", one as u32);
            }
            _ => out.push(one),
        }
    }
    out.push('"');
    out
}

fn object(members: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

pub(super) fn of(report: &Report) -> String {
    let stats = &report.stats;
    let limits = limits_of(&report.limits).into_iter();
    let limits = object(limits.map(|(name, max)| (name, max.to_string())));
    let counters = stats.counters.named().into_iter();
    let counters = object(counters.map(|counter| (counter.name, counter.value.to_string())));
    let destinations = array(report.rows.iter().map(|row| {
        object([
            (
                "network",
                quoted(&row.destination.address.network.to_string()),
            ),
            ("address", quoted(&row.destination.address.text)),
            ("reuse_tag", quoted(&row.destination.tag)),
            ("idle", row.idle.to_string()),
            ("borrowed", row.borrowed.to_string()),
            ("dialing", row.dialing.to_string()),
            ("waiting", row.waiting.to_string()),
        ])
    }));
    let leaks = array(report.leaks.iter().map(|leak| {
        object([
            (
                "network",
                quoted(&leak.destination.address.network.to_string()),
            ),
            ("address", quoted(&leak.destination.address.text)),
            ("reuse_tag", quoted(&leak.destination.tag)),
            ("fd", leak.fd.to_string()),
            ("label", quoted(leak.label.as_deref().unwrap_or_default())),
            ("borrowed_us", leak.lasts.as_micros().to_string()),
        ])
    }));
    object([
        ("name", quoted(&report.name)),
        ("drained", report.is_closed.to_string()),
        ("idle", stats.idle.to_string()),
        ("borrowed", stats.borrowed.to_string()),
        ("dialing", stats.dialing.to_string()),
        ("waiting", stats.waiting.to_string()),
        ("releasing", stats.releasing.to_string()),
        ("limits", limits),
        ("counters", counters),
        ("destinations", destinations),
        ("leaks", leaks),
    ])
}
