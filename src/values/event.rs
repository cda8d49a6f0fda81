//! What a pool tells the program while it works.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;
use std::time::Duration;

use super::destination::Destination;
use super::endpoint::Endpoint;
use super::error::Error;

/// The numbers are those of `vcp_event_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum EventKind {
    DialStart = 0,
    DialDone = 1,
    DialFailed = 2,
    Reused = 3,
    Released = 4,
    Closed = 5,
    WaitStart = 6,
    WaitDone = 7,
    Leaked = 8,
    LeakReturned = 9,
}

/// Why a connection was closed. The numbers are those of `vcp_close_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum CloseReason {
    None = 0,
    Discarded = 1,
    IdleTimeout = 2,
    Lifetime = 3,
    MaxUses = 4,
    IdleFull = 5,
    Evicted = 6,
    PeerClosed = 7,
    Dirty = 8,
    Failed = 9,
    Hook = 10,
    PoolClosed = 11,
    ForeignFd = 12,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: EventKind,
    pub(crate) reason: CloseReason,
    pub(crate) destination: &'a Destination,
    pub(crate) label: &'a str,
    pub(crate) fd: Option<RawFd>,
    pub(crate) duration: Duration,
    pub(crate) remote: Option<&'a Endpoint>,
    pub(crate) error: Option<&'a Error>,
    /// What there is to say beside an error.
    pub(crate) remark: &'a str,
}

impl<'a> Event<'a> {
    pub(crate) fn new(kind: EventKind, destination: &'a Destination, label: &'a str) -> Self {
        Self {
            kind,
            reason: CloseReason::None,
            destination,
            label,
            fd: None,
            duration: Duration::ZERO,
            remote: None,
            error: None,
            remark: "",
        }
    }
}
