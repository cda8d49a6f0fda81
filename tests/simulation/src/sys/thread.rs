//! The library's threads, as coroutines.

use std::io;

pub(crate) use crate::real_sys::thread::{cell, SignalsBlocked};
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
    name: &str,
    _stack_size: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle> {
    step();
    if world::with(|world| world.random.one_in(world.chances.fault)) {
        return Err(error(libc::EAGAIN));
    }
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
