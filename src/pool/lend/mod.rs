//! Between a pool and its borrowers: a new connection's registration, hooks, handing over, giving
//! back, descriptors that the program brings (`put`, `add`) or takes (`get`, `detach`), and
//! sessions of drivers.
#![forbid(unsafe_code)]

pub(crate) mod budget;
pub(crate) mod chaperone;
pub(crate) mod get;
pub(crate) mod give_back;
pub(crate) mod hand_over;
pub(crate) mod hooks;
pub(crate) mod put;
pub(crate) mod register;
mod release;
pub(crate) mod sessions;
