//! What the fuzz targets do with the bytes that they are given.
#![allow(clippy::missing_safety_doc)]

pub mod address;
pub mod api;
mod bytes;
mod leaks;
pub mod options;
mod status;
// The parser is no part of the C interface, so its files are compiled in as they are.
#[allow(dead_code)]
#[path = "../../src/values/mod.rs"]
mod values;
