//! Takes whole pools through histories over a simulated kernel.
//!
//! The library's modules are compiled into this program as they are, but for two: `sync`, which
//! here switches between simulated threads, and `sys`, which here stands on a simulated kernel.
//! A history is all that follows from a seed. See README.md.
#![allow(dead_code, unused_imports)]
// src/sys/thread/cell.rs is there twice: over the real thread's end, and over the simulated one.
#![allow(clippy::duplicate_mod)]

#[macro_use]
mod macros;

#[path = "../../../src/dial/mod.rs"]
mod dial;
#[path = "../../../src/ffi/mod.rs"]
mod ffi;
#[path = "../../../src/handle/mod.rs"]
mod handle;
#[path = "../../../src/pool/mod.rs"]
mod pool;
/// What is no system call in it is used as it is.
#[path = "../../../src/sys/mod.rs"]
mod real_sys;
#[path = "../../../src/thread_pool/mod.rs"]
mod thread_pool;
#[path = "../../../src/values/mod.rs"]
mod values;

mod history;
mod sync;
mod sys;
mod world;

fn main() -> std::process::ExitCode {
    history::main()
}
