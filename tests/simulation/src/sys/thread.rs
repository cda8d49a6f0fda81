//! The library's threads, as coroutines.

mod at_exit;
/// As in src/sys, over `at_exit` of this folder.
#[path = "../../../../src/sys/thread/cell.rs"]
pub(crate) mod cell;

use std::ffi::CStr;
use std::io;

pub(crate) use crate::real_sys::thread::SignalsBlocked;
use crate::world::descriptors::error;
use crate::world::{self, step, tasks};

/// A thread of the library's.
#[derive(Debug)]
pub(crate) struct JoinHandle(usize);

impl JoinHandle {
    pub(crate) fn join(self) {
        tasks::join(self.0);
    }

    pub(crate) fn is_this_thread(&self) -> bool {
        world::with(|world| world.tasks.current == self.0)
    }
}

pub(crate) fn spawn(
    name: &'static CStr,
    _stack_size: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle> {
    step();
    if world::with(|world| world.random.one_in(world.chances.fault)) {
        return Err(error(libc::EAGAIN));
    }
    let name = name.to_str().unwrap_or_default();
    Ok(JoinHandle(tasks::spawn(name, body)))
}

/// No simulated thread is canceled.
#[derive(Debug)]
pub(crate) struct CancellationDeferred;

impl CancellationDeferred {
    pub(crate) fn new() -> Self {
        Self
    }
}
