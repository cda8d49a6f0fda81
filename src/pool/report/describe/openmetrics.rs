//! OpenMetrics 1.0 (github.com/OpenObservability/OpenMetrics): numbers of the whole pool, under its
//! name. Destinations are left out: a metric must not grow with what a program dials.
#![forbid(unsafe_code)]

use std::fmt::{Display, Write};

use super::Report;
use crate::pool::state::counters::{Counter, CLOSED};

/// In a label's value backslash, quote and line feed are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

struct Exposition {
    pool: String,
    has_metadata: bool,
    out: String,
}

impl Exposition {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }

    /// The unit, if there is one, is the name's last word.
    fn family(&mut self, name: &str, kind: &str, unit: Option<&str>, help: &str) {
        if !self.has_metadata {
            return;
        }
        self.line(format_args!("# TYPE {name} {kind}"));
        if let Some(unit) = unit {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {help}"));
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: impl Display) {
        let pool = self.pool.clone();
        let more = label.map(|(name, value)| format!(",{name}=\"{value}\""));
        let more = more.unwrap_or_default();
        self.line(format_args!("{name}{{pool=\"{pool}\"{more}}} {value}"));
    }
}

pub(super) fn of(report: &Report, is_whole: bool) -> String {
    let mut exposition = Exposition {
        pool: escaped(&report.name),
        has_metadata: is_whole,
        out: String::new(),
    };
    let stats = &report.stats;
    let connections = "vconnpool_connections";
    exposition.family(connections, "gauge", None, "Connections now, by state.");
    for (state, count) in [
        ("idle", stats.idle),
        ("borrowed", stats.borrowed),
        ("dialing", stats.dialing),
    ] {
        exposition.sample(connections, Some(("state", state)), count);
    }
    exposition.family("vconnpool_waiting", "gauge", None, "Dials that wait now.");
    exposition.sample("vconnpool_waiting", None, stats.waiting);
    let releasing = "vconnpool_releasing";
    let help = "Borrowed connections that on_release looks at in the background now.";
    exposition.family(releasing, "gauge", None, help);
    exposition.sample(releasing, None, stats.releasing);

    let counters = stats.counters.named();
    let (closed, others): (Vec<&Counter>, Vec<&Counter>) = counters
        .iter()
        .partition(|counter| counter.name.starts_with(CLOSED));
    for counter in others {
        if let Some(of_what) = counter.name.strip_suffix("_us") {
            let name = format!("vconnpool_{of_what}_seconds");
            exposition.family(&name, "counter", Some("seconds"), counter.help);
            let seconds = format!(
                "{}.{:06}",
                counter.value / 1_000_000,
                counter.value % 1_000_000
            );
            exposition.sample(&format!("{name}_total"), None, seconds);
        } else {
            let name = format!("vconnpool_{}", counter.name);
            exposition.family(&name, "counter", None, counter.help);
            exposition.sample(&format!("{name}_total"), None, counter.value);
        }
    }
    exposition.family(
        "vconnpool_closed",
        "counter",
        None,
        "Connections closed by the pool, by reason.",
    );
    for counter in closed {
        let reason = counter.name.trim_start_matches(CLOSED);
        exposition.sample(
            "vconnpool_closed_total",
            Some(("reason", reason)),
            counter.value,
        );
    }
    if is_whole {
        exposition.out.push_str("# EOF\n");
    }
    exposition.out
}
