//! A session that the program's open_session callback opens, by a driver that dials by itself.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::dial::callbacks::{Session, SessionRequest};
use crate::dial::caller::{timeout_left, DialCaller};
use crate::dial::dialer::Dialer;
use crate::sys::foreign::SessionFd;
use crate::sys::{clock, fork};
use crate::values::address::Address;
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::{Error, Phase, Result};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A session that a driver has opened, until the pool has taken it: whatever becomes of the dial,
/// it is kept or ended, once.
#[derive(Debug)]
pub(crate) struct OpenedSession {
    session: Option<Session>,
    /// The process that it belongs to (`sys::fork`).
    epoch: u32,
}

impl OpenedSession {
    fn new(session: Session) -> Self {
        Self {
            session: Some(session),
            epoch: fork::epoch(),
        }
    }

    /// `None`: it has been taken, or tells no descriptor.
    pub(crate) fn fd(&self) -> Option<SessionFd> {
        self.session.as_ref()?.fd
    }

    /// Gives the session to one who keeps it, or gives it back with why not. `None`: it has been
    /// taken before.
    pub(crate) fn give_to<T, E>(
        &mut self,
        keep: impl FnOnce(Session) -> std::result::Result<T, (Session, E)>,
    ) -> Option<std::result::Result<T, E>> {
        Some(keep(self.session.take()?).map_err(|(session, error)| {
            self.session = Some(session);
            error
        }))
    }
}

impl Drop for OpenedSession {
    fn drop(&mut self) {
        if let (true, Some(session)) = (self.epoch == fork::epoch(), self.session.take()) {
            session.data.free();
            fork::enter_if_forked(self.epoch);
        }
    }
}

/// `None` if the program has no open_session callback.
pub(super) fn open_by_callback(
    destination: &Destination,
    address: &Address,
    dialer: &Dialer,
    deadline: Deadline,
    caller: &dyn DialCaller,
) -> Result<Option<OpenedSession>> {
    let Some(callbacks) = dialer
        .callbacks
        .as_ref()
        .filter(|one| one.has_open_session())
    else {
        return Ok(None);
    };
    let network = address.network.to_string();
    let mut opened = Ok(None);
    // A rewrite callback may have taken all of the time, and many drivers take 0 for "no limit".
    if deadline.has_passed(clock::now()) {
        return Err(Error::timeout(Phase::Opening, ""));
    }
    caller.run_open_session(&mut || {
        opened = callbacks.open_session(SessionRequest {
            network: &network,
            address: &address.text,
            reuse_tag: &destination.tag,
            label: caller.label(),
            timeout_ms: timeout_left(deadline),
        });
    })?;
    match opened {
        Ok(session) => Ok(session.map(OpenedSession::new)),
        // A driver that keeps its time can only refuse when that is over. By a clock of whole
        // milliseconds (vcp_now_ms) it is so up to one earlier.
        Err(error) if deadline.has_passed(clock::now().after(MILLISECOND)) => {
            Err(Error::timeout(Phase::Opening, &error.message))
        }
        Err(error) => Err(error),
    }
}
