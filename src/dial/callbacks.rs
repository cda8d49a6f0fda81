//! What a dial may ask the program: its callbacks, as this layer sees them. `ffi::callbacks` implements it.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::os::fd::RawFd;

use super::resolve::lookup::Lookup;
use crate::sync::Arc;
use crate::values::error::Result;

/// The program's callbacks. A refusal is an error with the status Callback and the callback's number.
pub(crate) trait Program: Debug + Send + Sync {
    /// Where to dial instead; `None`: there is no such callback.
    fn rewrite(&self, network: &str, address: &str) -> Result<Option<String>>;
    /// True if [`Program::resolve`] is to be asked instead of the system.
    fn resolves(&self) -> bool;
    /// True if there is anything that [`super::drive::run::begin`] calls itself: a rewrite or a dial callback.
    fn begins(&self) -> bool;
    /// True if [`Program::control`] is there.
    fn controls(&self) -> bool;
    /// True if [`Program::dial`] is there.
    fn dials(&self) -> bool;
    /// Adds the host's addresses to `lookup`. May block. `timeout_ms` is -1 without a deadline.
    fn resolve(
        &self,
        network: &str,
        host: &str,
        timeout_ms: i64,
        lookup: &Arc<Lookup>,
    ) -> Result<()>;
    /// A connected descriptor; `None`: there is no such callback. May block.
    fn dial(&self, network: &str, address: &str, timeout_ms: i64) -> Result<Option<RawFd>>;
    /// A look at a socket before it is bound and connected.
    fn control(&self, network: &str, address: &str, fd: RawFd) -> Result<()>;
}
