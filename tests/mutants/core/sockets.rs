//! The slot table and the race, and the layers below them.
#![allow(dead_code, unused_imports)]

mod dial;
mod handle;
mod sync;
mod sys;
mod values;
