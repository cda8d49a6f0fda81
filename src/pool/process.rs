//! What exists once in the process: the engine, the helper threads, the sleepers, the names already looked up.
#![forbid(unsafe_code)]

use once_cell::sync::Lazy;

use super::engine::Engines;
use super::helper::Helpers;
use super::sleepers::Sleepers;
use crate::dial::names::SystemNames;

/// See the module.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) engines: Engines,
    pub(crate) helpers: Helpers,
    pub(crate) sleepers: Sleepers,
    pub(crate) names: SystemNames,
}

/// The one of this process.
pub(crate) fn process() -> &'static Process {
    static PROCESS: Lazy<Process> = Lazy::new(|| Process {
        engines: Engines::new(),
        helpers: Helpers::new(),
        sleepers: Sleepers::new(),
        names: SystemNames::new(),
    });
    &PROCESS
}
