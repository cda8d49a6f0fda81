//! What a dial ends with.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use super::open_session::OpenedSession;
use crate::sys::socket::Identity;
use crate::values::endpoint::Endpoint;

/// What a dial has opened.
#[derive(Debug)]
pub(crate) enum Dialed {
    Socket(ConnectedSocket),
    Session(OpenedSession),
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct ConnectedSocket {
    pub(crate) fd: OwnedFd,
    /// `None`: not asked yet.
    pub(crate) identity: Option<Identity>,
    /// `None`: the peer has no address.
    pub(crate) remote: Option<Endpoint>,
    pub(crate) is_datagram: bool,
    pub(crate) is_nonblocking: bool,
}
