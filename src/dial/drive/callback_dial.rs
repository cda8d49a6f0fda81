//! A dial that the program's dial callback makes instead of the library.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use super::connected::ConnectedSocket;
use crate::dial::caller::{shortage, timeout_left, DialCaller};
use crate::dial::dialer::Dialer;
use crate::sys::foreign::ProgramFd;
use crate::sys::{clock, socket};
use crate::values::address::Address;
use crate::values::clock::Deadline;
use crate::values::error::{Error, Phase, Result, Status};

/// `None` if the program has no dial callback.
pub(super) fn dial_by_callback(
    address: &Address,
    dialer: &Dialer,
    deadline: Deadline,
    caller: &dyn DialCaller,
) -> Result<Option<ConnectedSocket>> {
    let Some(callbacks) = &dialer.callbacks else {
        return Ok(None);
    };
    let network = address.network.to_string();
    match callbacks.dial(&network, &address.text, timeout_left(deadline))? {
        Some(offered) => take(offered, deadline, caller).map(Some),
        None => Ok(None),
    }
}

/// Takes over the descriptor that the dial callback returned: it is the pool's, whatever comes of
/// it.
fn take(
    offered: ProgramFd,
    deadline: Deadline,
    caller: &dyn DialCaller,
) -> Result<ConnectedSocket> {
    let number = offered.number();
    let refused = |why: &str| {
        Error::new(
            Status::Callback,
            format!("dial callback: returned fd {number}, {why}"),
        )
    };
    if caller.is_pooled(number) {
        return Err(refused("which a pool of this process has already"));
    }
    let fd = offered.take().map_err(|_| refused("which is not open"))?;
    let kind = socket::kind(fd.as_fd()).map_err(|_| refused("which is not a socket"))?;
    let remote = socket::peer(fd.as_fd()).map_err(|_| refused("which is not connected"))?;
    let system = |error: std::io::Error| shortage(&error);
    socket::set_close_on_exec(fd.as_fd(), true).map_err(system)?;
    let is_nonblocking = socket::is_nonblocking(fd.as_fd()).map_err(system)?;
    if let Some(error) = caller.ended() {
        return Err(error);
    }
    if deadline.has_passed(clock::now()) {
        return Err(Error::timeout(Phase::Connecting, ""));
    }
    Ok(ConnectedSocket {
        fd,
        identity: None,
        remote,
        is_datagram: kind.is_datagram(),
        is_nonblocking,
    })
}
