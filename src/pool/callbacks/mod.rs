//! The program's callbacks as a pool sees them, and the gate that library threads pass to run them.
#![forbid(unsafe_code)]

pub(crate) mod deferred;
pub(crate) mod gate;

use crate::values::error::Result;
use std::fmt::Debug;
use std::os::fd::RawFd;

use crate::dial::callbacks::DialCallbacks;
use crate::sync::Arc;
use crate::values::event::Event;

/// The callbacks of the program that a pool serves.
#[derive(Debug, Default)]
pub(crate) struct Callbacks {
    pub(crate) dial: Option<Arc<dyn DialCallbacks>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
    /// What all of them are given; held until the last of them has returned.
    pub(crate) user: Option<Arc<dyn Debug + Send + Sync>>,
}

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Open,
    Reuse,
    Release,
    Idle,
}

/// The program's hooks, as this layer sees them. `ffi::callback_adapter` implements it.
pub(crate) trait Hooks: Debug + Send + Sync {
    fn has(&self, hook: Hook) -> bool;
    /// May block. A refusal is an error with the status Callback and the hook's number.
    fn call(&self, hook: Hook, conn: usize, fd: RawFd) -> Result<()>;
}

/// The program's on_event, as this layer sees it. `ffi::callback_adapter` implements it.
pub(crate) trait Observer: Debug + Send + Sync {
    fn on_event(&self, event: &Event<'_>);
}
