//! What is changed, and the layers below it: a third of the library, so that a change costs a third
//! of the time.
#![allow(dead_code, unused_imports)]

mod dial;
mod handle;
mod pool;
mod sync;
mod sys;
mod values;
