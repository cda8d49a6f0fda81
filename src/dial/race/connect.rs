//! One socket on its way to one address: made, given its options, bound, connected.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::connecting_socket::{ConnectingSocket, Watcher};
use crate::dial::callbacks::DialCallbacks;
use crate::sync::Arc;
use crate::sys::sockaddr::RawAddress;
use crate::sys::socket::{self, Identity, SocketKind};
use crate::values::clock::Time;
use crate::values::endpoint::Endpoint;
use crate::values::error::Error;
use crate::values::network::Network;
use crate::values::options::{DialSettings, KeepAlive};

/// A unix socket whose server's backlog is full answers EAGAIN at once (connect(2)) and cannot be
/// polled for. The attempt is repeated after this pause, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What socket(2) is asked for to reach `endpoint` over `network`.
pub(crate) fn kind_of(network: Network, endpoint: &Endpoint) -> SocketKind {
    let domain = match endpoint {
        Endpoint::Unix(_) => libc::AF_UNIX,
        inet if inet.is_ipv6() => libc::AF_INET6,
        _ => libc::AF_INET,
    };
    let (kind, protocol) = match network {
        Network::Tcp(_) => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        Network::Udp(_) => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        Network::Ip(_, protocol) => (libc::SOCK_RAW, protocol.into()),
        Network::Unix => (libc::SOCK_STREAM, 0),
        Network::Unixgram => (libc::SOCK_DGRAM, 0),
        Network::Unixpacket => (libc::SOCK_SEQPACKET, 0),
    };
    SocketKind {
        domain,
        kind,
        protocol,
    }
}

/// The network of a connected socket, as `vcp_pool_add` files it; `None` for one that cannot be
/// dialed here.
pub(crate) fn network_of(kind: SocketKind) -> Option<Network> {
    use crate::values::network::Family::Any;
    let SocketKind {
        domain,
        kind,
        protocol,
    } = kind;
    match (domain, kind) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => {
            // MPTCP sockets are TCP to everyone who uses them (RFC 8684).
            matches!(protocol, libc::IPPROTO_TCP | libc::IPPROTO_MPTCP).then_some(Network::Tcp(Any))
        }
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => {
            (protocol == libc::IPPROTO_UDP).then_some(Network::Udp(Any))
        }
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_RAW) => {
            Some(Network::Ip(Any, u8::try_from(protocol).ok()?))
        }
        (libc::AF_UNIX, libc::SOCK_STREAM) => Some(Network::Unix),
        (libc::AF_UNIX, libc::SOCK_DGRAM) => Some(Network::Unixgram),
        (libc::AF_UNIX, libc::SOCK_SEQPACKET) => Some(Network::Unixpacket),
        _ => None,
    }
}

#[derive(Debug)]
enum ConnectState {
    Connected,
    /// The kernel will make the socket writable.
    Pending,
    /// Tried again at that time, then after that pause.
    Busy {
        retry_at: Time,
        pause: Duration,
    },
}

/// Why an attempt did not even begin.
#[derive(Debug)]
pub(crate) enum StartFailure {
    System(io::Error),
    /// The program's control callback refused.
    Refused(Error),
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A connection being made.
#[derive(Debug)]
pub(crate) struct Attempt {
    socket: ConnectingSocket,
    to: Endpoint,
    state: ConnectState,
}

impl Attempt {
    /// Makes the socket and starts to connect.
    pub(crate) fn start(
        network: Network,
        to: &Endpoint,
        settings: &DialSettings,
        callbacks: Option<&dyn DialCallbacks>,
        now: Time,
    ) -> Result<Self, StartFailure> {
        let socket = ConnectingSocket::new(socket::open(kind_of(network, to))?)?;
        let fd = socket.fd();
        if let Some(callbacks) = callbacks {
            let network_of_socket = network.of_version(to.is_ipv6()).to_string();
            let address = to.text(network.has_port());
            callbacks
                .control(&network_of_socket, &address, fd.as_raw_fd())
                .map_err(StartFailure::Refused)?;
        }
        set_options(fd, network, settings)?;
        bind(fd, network, settings)?;
        let mut attempt = Self {
            socket,
            to: to.clone(),
            state: ConnectState::Busy {
                retry_at: now,
                pause: FIRST_PAUSE,
            },
        };
        attempt.retry(now)?;
        Ok(attempt)
    }

    /// Connects again, if it was busy and its pause is over.
    pub(crate) fn retry(&mut self, now: Time) -> io::Result<()> {
        let ConnectState::Busy { retry_at, pause } = self.state else {
            return Ok(());
        };
        if retry_at > now {
            return Ok(());
        }
        self.state = match socket::connect(self.socket.fd(), &self.to) {
            Ok(true) => ConnectState::Connected,
            Ok(false) => return self.connect_again(),
            Err(error) if self.is_backlog_full(&error) => ConnectState::Busy {
                retry_at: now.after(pause),
                pause: (pause * 2).min(LONGEST_PAUSE),
            },
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// A non-blocking connect(2) never succeeds at once over TCP, but a peer on this machine has
    /// answered by now: a second one tells, where poll(2) and SO_ERROR would be two.
    fn connect_again(&mut self) -> io::Result<()> {
        self.state = ConnectState::Pending;
        if socket::connect(self.socket.fd(), &self.to)? {
            self.state = ConnectState::Connected;
            self.refuse_self_connect()?;
        }
        Ok(())
    }

    fn is_backlog_full(&self, error: &io::Error) -> bool {
        matches!(self.to, Endpoint::Unix(_)) && error.kind() == io::ErrorKind::WouldBlock
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, ConnectState::Connected)
    }

    /// The socket to poll for writability, if the kernel connects it.
    pub(crate) fn pending(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.state, ConnectState::Pending).then(|| self.socket.fd())
    }

    /// Lets `watcher` wake the dial when the kernel is done, if it is waited for.
    pub(crate) fn watch(&mut self, watcher: &Arc<dyn Watcher>) -> io::Result<()> {
        match self.state {
            ConnectState::Pending => self.socket.watch(watcher),
            _ => Ok(()),
        }
    }

    /// When to call [`Attempt::retry`].
    pub(crate) fn retry_at(&self) -> Option<Time> {
        match self.state {
            ConnectState::Busy { retry_at, .. } => Some(retry_at),
            _ => None,
        }
    }

    /// The socket has become writable: it is connected, or it failed with this error.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match socket::take_error(self.socket.fd())? {
            0 => {
                self.state = ConnectState::Connected;
                self.refuse_self_connect()
            }
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// A port of this machine on which nobody listens may be the very one that the kernel chose for
    /// this socket: TCP then connects it to itself (simultaneous open, RFC 9293 3.5). To the caller
    /// that is "nobody listens", as in Go.
    fn refuse_self_connect(&self) -> io::Result<()> {
        let is_inet = matches!(self.to, Endpoint::Inet(_));
        if is_inet && socket::local(self.socket.fd())?.as_ref() == Some(&self.to) {
            return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        }
        Ok(())
    }

    pub(crate) fn into_parts(self) -> (OwnedFd, Identity, Endpoint) {
        let (fd, identity) = self.socket.into_parts();
        (fd, identity, self.to)
    }
}

fn set_options(fd: BorrowedFd<'_>, network: Network, settings: &DialSettings) -> io::Result<()> {
    if !matches!(network, Network::Tcp(_)) {
        return Ok(());
    }
    let tcp = |name, value| socket::set_option(fd, libc::IPPROTO_TCP, name, value);
    if settings.no_delay {
        tcp(libc::TCP_NODELAY, 1)?;
    }
    if let Some(KeepAlive {
        idle,
        interval,
        count,
    }) = &settings.keepalive
    {
        socket::set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
        tcp(libc::TCP_KEEPIDLE, whole_seconds(*idle))?;
        tcp(libc::TCP_KEEPINTVL, whole_seconds(*interval))?;
        tcp(libc::TCP_KEEPCNT, *count as i32)?;
    }
    if let Some(timeout) = settings.user_timeout {
        tcp(
            libc::TCP_USER_TIMEOUT,
            i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        )?;
    }
    Ok(())
}

/// The kernel counts keep-alive in seconds (tcp(7)); a part of one is rounded up.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

fn bind(fd: BorrowedFd<'_>, network: Network, settings: &DialSettings) -> io::Result<()> {
    match &settings.local_address {
        Some(local) => {
            if !local.has_port && network.has_port() {
                // Saves ports where many sockets share one address: without it bind(2) takes one at
                // once.
                let _ = socket::set_bind_address_no_port(fd);
            }
            socket::bind(fd, &RawAddress::from(&local.endpoint))
        }
        // Without a name of its own a datagram socket could send, but not be answered (unix(7),
        // autobind).
        None if network == Network::Unixgram => socket::bind(fd, &RawAddress::unix_autobind()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
