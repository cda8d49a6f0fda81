//! Dials that no thread sleeps on: asynchronous ones, the rest of a dial whose caller was served
//! by a given-back connection, and those that keep `min_idle_per_address` up.
#![forbid(unsafe_code)]

pub(crate) mod async_dial;
pub(crate) mod idle_checks;
pub(crate) mod opening;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod refill;
pub(crate) mod reply;
mod steps;
