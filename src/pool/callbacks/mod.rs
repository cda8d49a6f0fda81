//! The program's callbacks as a pool sees them, and the gate that library threads pass to run them.
#![forbid(unsafe_code)]

pub(crate) mod gate;
