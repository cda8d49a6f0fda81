//! `vcp_conn_*`, in the order of the header; blank lines keep rustfmt from sorting it.

pub mod borrow;

pub mod io;

pub mod deadlines;

pub mod addresses;

pub mod data;
