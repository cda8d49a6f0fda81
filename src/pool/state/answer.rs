//! What goes into the state's transitions and what comes out.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::DestinationId;
use crate::pool::stats::Cause;
use crate::sync::Arc;
use crate::values::address::Destination;
use crate::values::clock::Time;
use crate::values::error::{Error, Status};

/// A connection is watched for stray bytes only after it has been idle for so long: a busy one costs no epoll_ctl, and
/// the engine wakes up at most twice a second for all of them.
pub(crate) const ARM_AFTER: Duration = Duration::from_millis(500);

/// What a caller asks `take` for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// An idle one, else a new one.
    Any,
    /// A new one.
    Fresh,
    /// An idle one.
    Idle,
}

/// The answer of `take`.
#[derive(Debug)]
pub(crate) enum Take<C> {
    /// An idle one, now borrowed.
    Reuse(C),
    /// The right to dial, to be ended by `dialed` or `dial_failed`.
    Dial(DialRight, Arc<Destination>),
    Refused(Refusal),
}

/// The right to dial once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DialRight {
    pub(crate) destination: DestinationId,
    /// The one dial that finds out whether a destination that failed works again.
    pub(crate) is_probe: bool,
}

/// Why nothing was to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    PoolClosed,
    NothingIdle,
    /// The last dial failed a short while ago, by this.
    FailedBefore(Error),
    IdleFull {
        limit: &'static str,
        max: u32,
    },
    Exhausted {
        limit: &'static str,
        max: u32,
        idle: u32,
        borrowed: u32,
        dialing: u32,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PoolClosed => Error::new(Status::PoolClosed, "the pool is closed"),
            Refusal::NothingIdle => Error::new(Status::NotAvailable, "no idle connection"),
            Refusal::FailedBefore(error) => Error {
                message: format!("{} (a moment ago: fail_fast_ms)", error.message),
                ..error
            },
            Refusal::IdleFull { limit, max } => {
                Error::new(Status::IdleFull, format!("no room for an idle connection: {limit}={max}"))
            }
            Refusal::Exhausted { limit, max, idle, borrowed, dialing } => Error::new(
                Status::PoolExhausted,
                format!(
                    "pool exhausted: {limit}={max} idle={idle} borrowed={borrowed} dialing={dialing} waiting=0 \
                     (wait_timeout_ms=0: not waiting)"
                ),
            ),
        }
    }
}

/// What a connection that comes back is in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Close(Cause),
}

/// What has to happen after unlock.
#[derive(Debug)]
pub(crate) struct Effects<C> {
    /// Connections that the pool no longer counts, to be closed.
    pub(crate) closes: Vec<(C, Cause)>,
}

impl<C> Effects<C> {
    pub(crate) const fn none() -> Self {
        Self { closes: Vec::new() }
    }
}

/// What a look by the engine found to do.
#[derive(Debug)]
pub(crate) struct Reaped {
    /// Connections whose lifetime has ended; those that are idle are to be removed.
    pub(crate) retired: Vec<u64>,
    /// Connections that have been idle long enough to be watched for bytes.
    pub(crate) to_arm: Vec<u64>,
    /// When to look again.
    pub(crate) next: Time,
}

/// How a connection left the pool alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgotten {
    Detached,
    Got,
}
