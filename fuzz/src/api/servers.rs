//! Unix sockets of this process that the pools dial: two that listen, and one name that refuses.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// How many may be connected to a server at once.
const MOST_PEERS: usize = 32;

pub(super) struct Server {
    listener: UnixListener,
    address: SocketAddr,
    /// As the library's address.
    pub(super) text: CString,
    peers: Vec<UnixStream>,
}

/// An abstract name that no other process has.
fn name(number: u32) -> String {
    format!("vconnpool-fuzz-{}-{number}", std::process::id())
}

pub(super) fn text_of(number: u32) -> CString {
    CString::new(format!("@{}", name(number))).expect("no NUL")
}

impl Server {
    pub(super) fn new(number: u32) -> Server {
        let address = SocketAddr::from_abstract_name(name(number)).expect("a short name");
        let listener = UnixListener::bind_addr(&address).expect("nobody has that name");
        listener.set_nonblocking(true).expect("a flag");
        Server {
            listener,
            address,
            text: text_of(number),
            peers: Vec::new(),
        }
    }

    /// Takes whoever has connected, so that there is room for the next.
    pub(super) fn accept(&mut self) {
        while let Ok((peer, _)) = self.listener.accept() {
            peer.set_nonblocking(true).expect("a flag");
            self.peers.push(peer);
        }
        let surplus = self.peers.len().saturating_sub(MOST_PEERS);
        self.peers.drain(..surplus);
    }

    /// A connection that the program made itself.
    pub(super) fn connect(&mut self) -> i32 {
        self.accept();
        let client = UnixStream::connect_addr(&self.address).expect("there is room");
        self.accept();
        client.into_raw_fd()
    }

    /// A peer sends a byte, reads what came, or hangs up.
    pub(super) fn act(&mut self, act: u8, which: usize) {
        self.accept();
        if self.peers.is_empty() {
            return;
        }
        let at = which % self.peers.len();
        match act % 3 {
            0 => drop(self.peers[at].write(b"!")),
            1 => drop(self.peers[at].read(&mut [0; 64])),
            _ => drop(self.peers.remove(at)),
        }
    }
}
