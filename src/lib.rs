//! libvconnpool: a connection pool and dialer with a C interface.
//!
//! C programs include `include/vconnpool.h`, which is generated from [`ffi`]. The layers, each of
//! which imports only what stands before it: `values`, `sync`, `sys` (the kernel), `handle`,
//! `thread_pool`, `dial`, `pool`, `ffi`.

mod dial;
pub mod ffi;
mod handle;
mod pool;
mod sync;
mod sys;
mod thread_pool;
mod values;
