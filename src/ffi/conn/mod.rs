//! `vcp_conn_*`.

pub mod borrow;
