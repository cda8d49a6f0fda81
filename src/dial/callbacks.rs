//! The callbacks of the program that a dial calls, as this layer sees them.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::sync::Arc;
use crate::sys::foreign::{ProgramFd, SessionFd, UserData};
use crate::values::error::Result;
use crate::values::options::Liveness;

/// Takes the addresses that a resolve callback finds, one by one.
pub(crate) trait AddressSink: Debug + Send + Sync {
    fn add(&self, address: SocketAddr);
}

/// A session that a driver has opened, or the program.
#[derive(Debug)]
pub(crate) struct Session {
    /// The session itself, and what ends it.
    pub(crate) data: UserData,
    /// `None`: it tells no descriptor.
    pub(crate) fd: Option<SessionFd>,
    /// `None`: the pool's.
    pub(crate) liveness: Option<Liveness>,
}

/// What a callback passes that runs on a thread of the library. `pool::callbacks::gate` implements
/// it.
pub(crate) trait CallbackGate: Debug + Send + Sync {
    /// Runs `callback`, for which the pool's close waits; not at all once that has begun.
    fn let_in(&self, callback: &mut dyn FnMut());
}

/// What open_session is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionRequest<'a> {
    pub(crate) network: &'a str,
    /// After rewrite.
    pub(crate) address: &'a str,
    pub(crate) reuse_tag: &'a str,
    pub(crate) label: &'a str,
    /// -1 without a deadline.
    pub(crate) timeout_ms: i64,
}

/// The program's rewrite, resolve, dial, open_session and control callbacks. A refusal is an error
/// with the status Callback and the callback's number.
pub(crate) trait DialCallbacks: Debug + Send + Sync {
    /// Where to dial instead. `None`: the program has no such callback.
    fn rewrite(&self, network: &str, address: &str) -> Result<Option<String>>;
    /// [`DialCallbacks::resolve`] takes the place of the system's resolver.
    fn has_resolve(&self) -> bool;
    /// The program has a rewrite, dial or open_session callback, which run before a dial opens its
    /// first socket.
    fn runs_first(&self) -> bool;
    /// [`DialCallbacks::control`] is to be called for each socket.
    fn has_control(&self) -> bool;
    /// [`DialCallbacks::dial`] takes the place of resolving and connecting.
    fn has_dial(&self) -> bool;
    /// [`DialCallbacks::open_session`] does.
    fn has_open_session(&self) -> bool;
    /// Adds the host's addresses to `found`. May block. `timeout_ms` is -1 without a deadline.
    fn resolve(
        &self,
        network: &str,
        host: &str,
        timeout_ms: i64,
        found: Arc<dyn AddressSink>,
    ) -> Result<()>;
    /// A connected descriptor. `None`: the program has no such callback. May block.
    fn dial(&self, network: &str, address: &str, timeout_ms: i64) -> Result<Option<ProgramFd>>;
    /// A session. `None`: the program has no such callback. May block.
    fn open_session(&self, request: SessionRequest<'_>) -> Result<Option<Session>>;
    /// Prepares a socket before bind(2) and connect(2).
    fn control(&self, network: &str, address: &str, fd: RawFd) -> Result<()>;
}
