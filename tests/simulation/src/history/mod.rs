//! Histories: what they are drawn from, how they run, and what must hold.

mod asynchronous;
pub(crate) mod audit;
mod borrow;
mod dials;
mod driver;
mod exchange;
mod hooks;
mod main;
mod operations;
mod plan;
mod program;
mod rest;
mod run;

pub(crate) use self::main::main;
pub(crate) use self::run::seed;
