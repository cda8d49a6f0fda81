//! A pool as a report: what it holds, what it has counted, what has leaked.
#![forbid(unsafe_code)]

mod json;
mod openmetrics;
mod text;

use std::os::fd::RawFd;
use std::time::Duration;

use crate::pool::state::answer::Numbers;
use crate::pool::state::counters::Stats;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys::{clock, memory};
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};
use crate::values::options::Limits;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A table for a person.
    Text,
    Json,
    /// OpenMetrics 1.0, a whole exposition.
    OpenMetrics,
    /// Its samples alone.
    OpenMetricsBody,
}

/// A connection that has been borrowed for too long and is not back yet.
#[derive(Clone, Debug)]
struct Leak {
    destination: Arc<Destination>,
    fd: RawFd,
    label: Option<Arc<str>>,
    lasts: Duration,
}

/// What a pool is at one moment.
#[derive(Clone, Debug)]
struct Report {
    name: Box<str>,
    is_closed: bool,
    limits: Limits,
    stats: Stats,
    /// In the order of their addresses.
    rows: Vec<Numbers>,
    leaks: Vec<Leak>,
}

/// What a report takes while it is made: of a pool without destinations, and more for each. An
/// address has at most 1,024 bytes, most have fewer than 30, and each stands there twice.
const FEW_BYTES: usize = 16 << 10;
const BYTES_OF_DESTINATION: usize = 1 << 10;

impl Pool {
    pub(crate) fn describe(&self, form: Form) -> Result<String> {
        let destinations = self.locked().destinations();
        if !memory::has(FEW_BYTES + destinations * BYTES_OF_DESTINATION) {
            return Err(Error::no_memory());
        }
        let report = self.report();
        Ok(match form {
            Form::Text => text::of(&report),
            Form::Json => json::of(&report),
            Form::OpenMetrics => openmetrics::of(&report, true),
            Form::OpenMetricsBody => openmetrics::of(&report, false),
        })
    }

    fn report(&self) -> Report {
        let state = self.counted();
        let now = clock::now();
        let leaks = self.leaks().into_iter().map(|leaked| Leak {
            destination: leaked.destination,
            fd: leaked.fd,
            lasts: now.since(leaked.loan.since),
            label: leaked.loan.label,
        });
        let leaks = leaks.collect();
        Report {
            name: self.options.name.clone(),
            is_closed: state.is_closed(),
            limits: self.settings.get().limits,
            stats: state.stats(),
            rows: state.numbers_by_destination(),
            leaks,
        }
    }
}

/// The limits that are set, by their names in `vcp_pool_options`.
fn limits_of(limits: &Limits) -> Vec<(&'static str, u32)> {
    let optional = [
        ("max_idle", limits.max_idle),
        ("max_conns", limits.max_conns),
        ("max_conns_per_address", limits.max_conns_per_address),
        ("max_dials_per_address", limits.max_dials_per_address),
        ("max_waiters", limits.max_waiters),
    ];
    let set = optional
        .into_iter()
        .filter_map(|(name, max)| Some((name, max?)));
    std::iter::once(("max_idle_per_address", limits.max_idle_per_address))
        .chain(set)
        .collect()
}

#[cfg(test)]
mod tests;
