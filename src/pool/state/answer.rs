//! What goes into the state's transitions and what comes out.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::counters::CloseCause;
use super::held::Held;
use super::DestinationId;
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::error::{text, Error, Status};

/// A connection is watched for stray bytes only after it has been idle for so long: a busy one
/// costs no epoll_ctl, and the engine wakes up at most twice a second for all of them.
pub(crate) const ARM_AFTER: Duration = Duration::from_millis(500);

/// May a borrow be answered with an idle connection?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// With an idle one that is fit, else with a new one.
    Allowed,
    /// With a new one only (VCP_DIAL_FRESH).
    Never,
    /// With an idle one only (VCP_DIAL_REUSE_ONLY).
    Only,
}

/// One borrower's place in the order of all; older ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

impl Ticket {
    pub(super) const FIRST: Self = Self(0);
    pub(super) const LAST: Self = Self(u64::MAX);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a caller of `take` asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) destination: &'a Arc<Destination>,
    pub(crate) reuse: Reuse,
    /// At a limit it may wait. (For its turn to dial every caller waits.)
    pub(crate) may_wait: bool,
    /// It found several idle ones dead: where there is room it dials rather than find more.
    pub(crate) distrusts_idle: bool,
    /// It waited before, and max_waiters does not send it away any more.
    pub(crate) has_waited: bool,
}

/// The answer of `take`.
#[derive(Debug)]
pub(crate) enum Take<C> {
    /// An idle one or one just given back, now borrowed.
    Reuse(C),
    /// The right to dial, to be ended by `dial_done` or `dial_failed`.
    Dial(DialRight, Arc<Destination>),
    Refused(Refusal),
    /// Nothing now: the answer comes later, to be fetched by `collect`.
    Wait,
}

/// What has become of a wait.
#[derive(Debug)]
pub(crate) enum WaitPoll<C> {
    /// It was answered in time.
    Ready(Take<C>),
    /// Nothing yet, and there is time.
    Pending,
    /// It is off the list; why it had not been answered.
    TimedOut(LimitReached),
}

/// What keeps a dial from beginning, and the numbers of that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitReached {
    /// Its name and number; `None`: the way was free when it was too late.
    pub(crate) limit: Option<(&'static str, u32)>,
    pub(crate) idle: u32,
    pub(crate) borrowed: u32,
    pub(crate) dialing: u32,
    pub(crate) waiting: u32,
}

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LimitReached {
            limit,
            idle,
            borrowed,
            dialing,
            waiting,
        } = self;
        if let Some((name, max)) = limit {
            write!(f, "{name}={max} ")?;
        }
        write!(
            f,
            "idle={idle} borrowed={borrowed} dialing={dialing} waiting={waiting}"
        )
    }
}

/// What a dial's caller takes while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LateBinding {
    /// Its own connect alone.
    Off,
    /// What is given back from now on.
    GivenBack,
    /// That, and what has become idle since the right to dial was given.
    Any,
}

/// The right to dial once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DialRight {
    pub(crate) destination: DestinationId,
    pub(crate) ticket: Ticket,
    /// The one dial that finds out whether a destination that failed works again.
    pub(crate) is_probe: bool,
}

/// Why nothing was to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    PoolClosed,
    NothingIdle,
    /// The last dial failed a short while ago, by this.
    FailedBefore(Arc<Error>),
    IdleFull {
        limit: &'static str,
        max: u32,
    },
    /// At a limit, and the caller does not wait.
    Exhausted(LimitReached),
    /// At a limit, and as many wait as may.
    TooManyWait(LimitReached, u32),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PoolClosed => Error::new(Status::PoolClosed, "the pool is closed"),
            Refusal::NothingIdle => Error::new(Status::NotAvailable, "no idle connection"),
            Refusal::FailedBefore(error) => Error {
                message: format!("{} (a moment ago: fail_fast_ms)", error.message).into(),
                ..(*error).clone()
            },
            Refusal::IdleFull { limit, max } => Error::new(
                Status::IdleFull,
                format!("no room for an idle connection: {limit}={max}"),
            ),
            Refusal::Exhausted(blocked) => Error::new(
                Status::PoolExhausted,
                text(format_args!(
                    "pool exhausted: {blocked} (wait_timeout_ms=0: not waiting)"
                )),
            ),
            Refusal::TooManyWait(blocked, max) => Error::new(
                Status::PoolExhausted,
                format!("pool exhausted: {blocked} (max_waiters={max})"),
            ),
        }
    }
}

/// What a connection that comes back is in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    Keep,
    Close(CloseCause),
}

/// What `State::told` frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    pub(super) destination: DestinationId,
    /// Of max_conns and max_conns_per_address.
    pub(super) slots: u32,
    /// Of max_dials_per_address.
    pub(super) turns: u32,
    /// A dial whose answer was not fetched.
    pub(super) unfetched: Option<Ticket>,
}

/// A connection that is to be closed.
#[derive(Debug)]
pub(crate) struct Closed<C> {
    pub(crate) conn: C,
    pub(crate) cause: CloseCause,
    /// What it frees once CLOSED has been told.
    pub(crate) untold: Option<Untold>,
}

/// So many effects one transition has, and a few more (`closing::unfinished` has the rest). So the
/// memory that a close or an evict needs does not grow with what there is to close.
const MOST_EFFECTS: usize = 64;

/// What has to happen after unlock.
#[derive(Debug)]
pub(crate) struct Effects<C: Held> {
    /// Connections that the pool no longer counts, to be closed.
    pub(crate) closes: Vec<Closed<C>>,
    /// Who waited and has an answer now.
    pub(crate) wakes: Vec<C::Waker>,
    /// More of those who wait may be served: by another `State::serve`.
    pub(crate) leaves_waiters: bool,
    most: usize,
}

impl<C: Held> Effects<C> {
    pub(crate) const fn none() -> Self {
        Self::at_most(MOST_EFFECTS)
    }

    /// None yet; a transition stops where it has so many.
    pub(crate) const fn at_most(most: usize) -> Self {
        Self {
            closes: Vec::new(),
            wakes: Vec::new(),
            leaves_waiters: false,
            most,
        }
    }

    pub(super) fn are_many(&self) -> bool {
        self.closes.len() + self.wakes.len() >= self.most
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

/// One destination's numbers.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) destination: Arc<Destination>,
    pub(crate) idle: u32,
    pub(crate) borrowed: u32,
    pub(crate) dialing: u32,
    pub(crate) waiting: u32,
}
