//! The pool's state, with the model, and what it imports.
#![allow(dead_code, unused_imports)]

mod handle;
mod pool;
mod sync;
mod values;
