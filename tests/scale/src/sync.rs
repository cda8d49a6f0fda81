//! The standard library's, under the names that the library uses.

pub(crate) use std::sync::{atomic, Arc};
