//! The callbacks of the program that a dial may call. `ffi::callback_adapter` implements the trait.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::os::fd::RawFd;

use super::resolve::lookup::Lookup;
use crate::sync::Arc;
use crate::values::error::Result;

/// The callbacks that a dial may call. A refusal is an error with the status Callback and the callback's number.
pub(crate) trait DialCallbacks: Debug + Send + Sync {
    /// Where to dial instead; `None`: there is no such callback.
    fn rewrite(&self, network: &str, address: &str) -> Result<Option<String>>;
    /// True if [`DialCallbacks::resolve`] is to be asked instead of the system.
    fn resolves(&self) -> bool;
    /// True if there is anything that [`super::drive::run::begin`] calls itself: a rewrite or a dial callback.
    fn begins(&self) -> bool;
    /// True if [`DialCallbacks::control`] is there.
    fn controls(&self) -> bool;
    /// True if [`DialCallbacks::dial`] is there.
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
