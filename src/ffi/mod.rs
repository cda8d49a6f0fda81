//! The C interface: one file, or one folder, per C object. A body borrows, parses, calls one
//! function and stores out; policy lives below.
//!
//! The doc comments of the public items are the text of `include/vconnpool.h`, so they speak to a C
//! programmer.
#![allow(non_camel_case_types)]
// The header's THREADS, HANDLES and OWNERSHIP paragraphs are the safety sections of every function.
#![allow(clippy::missing_safety_doc)]
// Brackets in the header's text are defaults and IPv6 addresses, and what is indented is a table.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_rust_codeblocks)]

// The order of the header; blank lines keep rustfmt from sorting it.

pub mod basics;

pub mod handles;

pub mod callback_types;

pub mod callbacks;

pub mod session;

pub mod pool;

pub mod dial;

pub mod conn;

pub mod cancel;

pub mod queue;

mod arguments;
mod callback_adapter;
pub(crate) mod fork;
pub(crate) mod guard;
