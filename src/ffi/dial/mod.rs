//! `vcp_dial*`.

pub mod blocking;
