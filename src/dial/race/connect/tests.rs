//! Sockets of this machine: what they are, how they are bound, and how each attempt ends.
#![forbid(unsafe_code)]

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixListener;

use super::*;
use crate::sync::Mutex;
use crate::values::endpoint::UnixName;
use crate::values::network::Family::{Any, V4};
use crate::values::options::LocalAddress;

fn at(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

fn inet(text: &str) -> Endpoint {
    Endpoint::Inet(text.parse().expect("an address"))
}

fn unix(text: &str) -> Endpoint {
    Endpoint::Unix(UnixName::parse(text).expect("a name"))
}

fn settings(local_address: Option<LocalAddress>) -> DialSettings {
    DialSettings {
        timeout: None,
        fallback_delay: None,
        keepalive: None,
        user_timeout: None,
        local_address,
        no_delay: true,
    }
}

fn listener() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, Endpoint::Inet(address))
}

fn start(network: Network, to: &Endpoint, local: Option<LocalAddress>) -> io::Result<Attempt> {
    match Attempt::start(network, to, &settings(local), None, at(0)) {
        Ok(attempt) => Ok(attempt),
        Err(StartFailure::System(error)) => Err(error),
        Err(StartFailure::Refused(error)) => panic!("nobody was asked: {error:?}"),
    }
}

/// Until the kernel has an answer.
fn ended(attempt: io::Result<Attempt>) -> io::Result<Attempt> {
    let mut attempt = attempt?;
    while attempt.pending().is_some() {
        attempt.connect_again()?;
    }
    Ok(attempt)
}

fn unconnected(network: Network, to: Endpoint, state: ConnectState) -> Attempt {
    let fd = socket::open(kind_of(network, &to)).expect("a socket");
    let socket = ConnectingSocket::new(fd).expect("there is memory");
    Attempt { socket, to, state }
}

#[test]
fn each_network_has_its_kind_of_socket_and_is_known_by_it() {
    let (v4, v6, path) = (inet("127.0.0.1:1"), inet("[::1]:1"), unix("/run/a"));
    let (inet, inet6, local) = (libc::AF_INET, libc::AF_INET6, libc::AF_UNIX);
    let (stream, datagram, packet) = (libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET);
    for (network, to, domain, kind, protocol) in [
        (Network::Tcp(Any), &v4, inet, stream, libc::IPPROTO_TCP),
        (Network::Tcp(Any), &v6, inet6, stream, libc::IPPROTO_TCP),
        (Network::Udp(Any), &v4, inet, datagram, libc::IPPROTO_UDP),
        (Network::Udp(Any), &v6, inet6, datagram, libc::IPPROTO_UDP),
        (Network::Ip(Any, 89), &v4, inet, libc::SOCK_RAW, 89),
        (Network::Ip(Any, 89), &v6, inet6, libc::SOCK_RAW, 89),
        (Network::Unix, &path, local, stream, 0),
        (Network::Unixgram, &path, local, datagram, 0),
        (Network::Unixpacket, &path, local, packet, 0),
    ] {
        let found = kind_of(network, to);
        let parts = (found.domain, found.kind, found.protocol);
        assert_eq!(parts, (domain, kind, protocol), "{network:?}");
        assert_eq!(network_of(found), Some(network));
    }
}

#[test]
fn sockets_of_other_protocols_belong_to_no_network() {
    let network = |domain, kind, protocol| {
        network_of(SocketKind {
            domain,
            kind,
            protocol,
        })
    };
    let mptcp = network(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP);
    assert_eq!(mptcp, Some(Network::Tcp(Any)));
    for (domain, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        (libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
        (libc::AF_INET, libc::SOCK_RAW, 256),
        (libc::AF_NETLINK, libc::SOCK_RAW, 0),
    ] {
        assert_eq!(network(domain, kind, protocol), None);
    }
}

#[test]
fn an_attempt_ends_connected_or_refused() {
    let (listener, to) = listener();
    let attempt = ended(start(Network::Tcp(V4), &to, None)).expect("it is listened to");
    assert!(attempt.is_connected() && attempt.retry_at().is_none());
    let (fd, identity, endpoint) = attempt.into_parts();
    assert_eq!(
        socket::peer(fd.as_fd()).expect("connected"),
        Some(to.clone())
    );
    assert_eq!(socket::identity(fd.as_raw_fd()).expect("open"), identity);
    assert_eq!(endpoint, to);
    drop(listener);
    let refused = ended(start(Network::Tcp(V4), &to, None)).expect_err("nobody listens");
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
}

#[test]
fn a_unix_socket_is_connected_at_once_or_not_at_all() {
    let name = format!("@vconnpool-connect-{}", std::process::id());
    let to = unix(&name);
    let refused = start(Network::Unix, &to, None).expect_err("nobody listens");
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    let path = std::env::temp_dir().join(format!("vconnpool-connect-{}", std::process::id()));
    let listener = UnixListener::bind(&path).expect("the path is free");
    let to = unix(path.to_str().expect("text"));
    let mut attempt = start(Network::Unix, &to, None).expect("it is listened to");
    assert!(attempt.is_connected() && attempt.pending().is_none());
    assert!(attempt.retry(at(9)).is_ok() && attempt.is_connected());
    drop(listener);
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn a_socket_that_reached_itself_is_refused() {
    let (listener, to) = listener();
    drop(listener);
    let local = LocalAddress {
        endpoint: to.clone(),
        has_port: true,
    };
    let attempt = start(Network::Tcp(V4), &to, Some(local));
    let refused = ended(attempt).expect_err("nobody but itself");
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
}

#[test]
fn what_became_writable_is_connected_or_has_failed() {
    let (_listener, to) = listener();
    let mut attempt = ended(start(Network::Tcp(V4), &to, None)).expect("it is listened to");
    attempt.state = ConnectState::Pending;
    assert!(!attempt.is_connected() && attempt.pending().is_some());
    assert!(attempt.finish().is_ok() && attempt.is_connected());
    // To the finished one it looks as if it had reached itself.
    let own = socket::local(attempt.socket.fd()).expect("connected");
    attempt.to = own.expect("it has a port");
    let refused = attempt.finish().expect_err("itself");
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
}

#[test]
fn a_busy_one_is_tried_again_when_its_pause_is_over() {
    let (_listener, to) = listener();
    let busy = ConnectState::Busy {
        retry_at: at(5),
        pause: FIRST_PAUSE,
    };
    let mut attempt = unconnected(Network::Tcp(V4), to, busy);
    assert!(attempt.retry(at(4)).is_ok());
    assert_eq!(attempt.retry_at(), Some(at(5)));
    assert!(attempt.pending().is_none() && !attempt.is_connected());
    assert!(attempt.retry(at(5)).is_ok());
    assert_eq!(attempt.retry_at(), None);
    assert!(ended(Ok(attempt)).expect("listened to").is_connected());
}

#[test]
fn only_a_unix_socket_that_would_block_has_a_full_backlog() {
    let error = io::Error::from_raw_os_error;
    let connected = || ConnectState::Connected;
    let local = unconnected(Network::Unix, unix("/run/a"), connected());
    assert!(local.is_backlog_full(&error(libc::EAGAIN)));
    assert!(!local.is_backlog_full(&error(libc::ECONNREFUSED)));
    let remote = unconnected(Network::Tcp(V4), inet("127.0.0.1:1"), connected());
    assert!(!remote.is_backlog_full(&error(libc::EAGAIN)));
}

#[derive(Debug, Default)]
struct Watched(Mutex<Vec<(RawFd, bool)>>);

impl Watcher for Watched {
    fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.0.lock().push((fd.as_raw_fd(), true));
        Ok(())
    }

    fn unwatch(&self, number: RawFd) {
        self.0.lock().push((number, false));
    }
}

#[test]
fn a_pending_one_is_watched_until_its_socket_is_taken_out() {
    let seen = Arc::new(Watched::default());
    let watcher: Arc<dyn Watcher> = seen.clone();
    let mut attempt = unconnected(
        Network::Tcp(V4),
        inet("127.0.0.1:1"),
        ConnectState::Connected,
    );
    assert!(attempt.watch(&watcher).is_ok() && seen.0.lock().is_empty());
    attempt.state = ConnectState::Pending;
    assert!(attempt.watch(&watcher).is_ok() && attempt.watch(&watcher).is_ok());
    let number = attempt.socket.fd().as_raw_fd();
    assert_eq!(*seen.0.lock(), [(number, true)]);
    let (fd, _, _) = attempt.into_parts();
    assert_eq!(*seen.0.lock(), [(number, true), (number, false)]);
    assert_eq!(fd.as_raw_fd(), number);
}

/// The own address once it is bound like that.
fn bound(network: Network, domain_of: &Endpoint, local: Option<LocalAddress>) -> Option<Endpoint> {
    let fd = socket::open(kind_of(network, domain_of)).expect("a socket");
    bind(fd.as_fd(), network, &settings(local)).expect("it can be bound");
    socket::local(fd.as_fd()).expect("a socket")
}

#[test]
fn a_port_is_chosen_at_bind_only_if_one_was_asked_for() {
    let any = inet("127.0.0.1:0");
    for network in [Network::Tcp(V4), Network::Udp(V4)] {
        let port = |has_port| {
            let endpoint = any.clone();
            let local = LocalAddress { endpoint, has_port };
            match bound(network, &any, Some(local)) {
                Some(Endpoint::Inet(address)) => address,
                other => panic!("{other:?}"),
            }
        };
        let at_connect: SocketAddr = port(false);
        assert_eq!(at_connect.to_string(), "127.0.0.1:0");
        assert_ne!(port(true).port(), 0);
    }
}

#[test]
fn a_datagram_socket_has_a_name_to_be_answered_at() {
    let to = unix("/run/a");
    let own = bound(Network::Unixgram, &to, None);
    assert!(matches!(own, Some(Endpoint::Unix(name)) if name.is_abstract()));
    assert_eq!(bound(Network::Unix, &to, None), None);
    assert_eq!(bound(Network::Unixpacket, &to, None), None);
}

#[test]
fn a_part_of_a_second_is_rounded_up() {
    for (ms, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (45_000, 45)] {
        assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds);
    }
    assert_eq!(whole_seconds(Duration::MAX), i32::MAX);
}
