//! The session of a driver that dials by itself, held as a connection.
//!
//! The descriptor stays the driver's. It is asked for where the driver may have another one by now,
//! and never closed, written, read or changed here.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::os::fd::{AsFd, RawFd};
use std::time::Duration;

use crate::handle::{fd_owners, Owned, SlotId};
use crate::pool::conn::{Conn, ARMED, ASKING, DATAGRAM, HUNG_UP, SESSION, WATCHED};
use crate::pool::engine::poller::Poller;
use crate::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sys::clock;
use crate::sys::foreign::{ConnFd, SessionFd};
use crate::sys::socket::{self, Identity};
use crate::values::clock::Time;
use crate::values::endpoint::Endpoint;
use crate::values::options::Liveness;

/// One tick of the coarse clock: a login takes longer, and a look each so often costs nothing.
const VERIFIED_FOR: Duration = Duration::from_millis(4);
/// No slot.
const NONE: u32 = u32::MAX;

thread_local! {
    /// The slot of the connection about which this thread asks a driver.
    static ASKED_ABOUT: Cell<u32> = const { Cell::new(NONE) };
}

/// Where the driver's socket is asked for, and what it was last.
#[derive(Debug)]
pub(super) struct SessionSocket {
    /// `None`: the session has no descriptor, or does not tell it.
    asks: Option<SessionFd>,
    /// Device and inode ([`Identity::to_bits`]); 0 before the first. No lock guards it, because a
    /// forked child reads it.
    identity: AtomicU64,
    /// It has told one.
    has_told: AtomicBool,
    /// When the socket was last compared with `identity`.
    verified_at: AtomicU64,
}

impl SessionSocket {
    pub(super) fn new(asks: Option<SessionFd>) -> Self {
        Self {
            asks,
            identity: AtomicU64::new(0),
            has_told: AtomicBool::new(false),
            verified_at: AtomicU64::new(0),
        }
    }
}

/// What a driver's number stands for.
#[derive(Clone, Debug)]
pub(crate) struct DriverSocket {
    number: RawFd,
    identity: Identity,
    is_datagram: bool,
    /// `None`: the peer has no address.
    pub(crate) peer: Option<Endpoint>,
}

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketLost {
    /// It had a descriptor, and has none any more.
    Gone,
    /// The number is not open, or no connected socket.
    NoSocket(RawFd),
    /// A connection of a pool has that number.
    AnothersNumber(RawFd),
    NoMemory,
}

impl std::fmt::Display for SocketLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => write!(f, "it has no descriptor any more"),
            Self::NoSocket(fd) => write!(f, "fd {fd} is no connected socket"),
            Self::AnothersNumber(fd) => write!(f, "fd {fd} is another connection's"),
            Self::NoMemory => write!(f, "there is no memory to note its descriptor"),
        }
    }
}

impl DriverSocket {
    pub(crate) fn number(&self) -> RawFd {
        self.number
    }

    /// Takes nothing out of its queue.
    pub(crate) fn peek(&self) -> socket::Peek {
        let fd = ConnFd::of_driver();
        fd.set(self.number);
        let peek = |fd| socket::peek(fd, self.is_datagram);
        fd.borrow().map_or(socket::Peek::End, peek)
    }

    /// Looks at what a driver has told; changes nothing of it.
    pub(crate) fn of_number(number: RawFd) -> Result<Self, SocketLost> {
        let look = || -> std::io::Result<Self> {
            let identity = socket::identity(number)?;
            let fd = ConnFd::of_driver();
            fd.set(number);
            let Some(fd) = fd.borrow() else {
                return Err(std::io::Error::from_raw_os_error(libc::EBADF));
            };
            Ok(Self {
                number,
                identity,
                is_datagram: socket::kind(fd.as_fd())?.is_datagram(),
                peer: socket::peer(fd.as_fd())?,
            })
        };
        look().map_err(|_| SocketLost::NoSocket(number))
    }
}

impl Conn {
    pub(crate) fn is_session(&self) -> bool {
        self.has(SESSION)
    }

    fn session_socket(&self) -> Option<&SessionSocket> {
        self.extras.get().and_then(|extras| extras.session())
    }

    pub(super) fn session_identity(&self) -> Option<Identity> {
        let bits = self.session_socket()?.identity.load(Acquire);
        (bits != 0).then(|| Identity::from_bits(bits))
    }

    /// What is about to be asked about the session's socket, if it tells one.
    pub(crate) fn session_fd(&self) -> Option<SessionFd> {
        self.session_socket()?.asks
    }

    /// The fast path may lend it: not a session of which only the watch would notice that its
    /// driver has replaced the socket under the same number. (Under STRICT each borrow peeks at
    /// the new one, and once it is idle for a while the engine watches that.)
    pub(super) fn allows_fast_path(&self) -> bool {
        self.session_fd().is_none() || self.liveness() == Liveness::Strict
    }

    /// Its socket was compared so lately that its driver cannot have reconnected since. (A new
    /// socket mostly gets the number of the old one.) And the watch does not ask for bytes yet:
    /// that it is a new socket's, the engine would not find then.
    pub(crate) fn was_verified_lately(&self, now: Time) -> bool {
        let verified = |session: &SessionSocket| session.verified_at.load(Relaxed);
        let at = self.session_socket().map_or(0, verified);
        self.is_session()
            && now.nanos().saturating_sub(at) < VERIFIED_FOR.as_nanos() as u64
            && !self.has(ARMED)
    }

    /// Asks the driver for the number, which is the same as before. False while another thread
    /// asks, which closes the same handle.
    pub(crate) fn tells_same_fd(&self) -> bool {
        if self.flags.fetch_or(ASKING, AcqRel) & ASKING != 0 {
            return false;
        }
        let tells = self.ask_for_same_fd();
        self.flags.fetch_and(!ASKING, AcqRel);
        tells
    }

    fn ask_for_same_fd(&self) -> bool {
        let slot = self.slot_index.load(Relaxed);
        let before = ASKED_ABOUT.replace(slot);
        let told = self.session_fd().and_then(SessionFd::ask).unwrap_or(-1);
        ASKED_ABOUT.set(before);
        told == self.raw_fd()
    }

    /// This thread is inside `tells_same_fd` of that connection.
    pub(crate) fn is_asked_about(&self) -> bool {
        ASKED_ABOUT.get() == self.slot_index.load(Relaxed)
    }

    /// The session is idle, and its driver has replaced the socket under the same number since it
    /// was asked: the new one is watched from now on.
    pub(crate) fn watch_replaced(&self, poller: &Poller, slot: SlotId) -> std::io::Result<()> {
        if !fd_owners::is_owner(self.raw_fd(), slot) {
            return Err(std::io::Error::from_raw_os_error(libc::EBADF));
        }
        let now = DriverSocket::of_number(self.raw_fd());
        let now = now.map_err(|_| std::io::Error::from_raw_os_error(libc::ENOTSOCK))?;
        self.note_identity(&now);
        let Some(fd) = self.fd() else {
            return Ok(());
        };
        poller.watch(fd, now.is_datagram, slot.to_bits())?;
        poller.arm(fd, now.is_datagram, slot.to_bits())
    }

    /// The socket is the known one now.
    pub(crate) fn note_verified(&self) {
        if let Some(session) = self.session_socket() {
            session
                .verified_at
                .store(clock::now_coarse().nanos(), Relaxed);
        }
    }

    fn note_identity(&self, socket: &DriverSocket) {
        self.note_verified();
        if let Some(session) = self.session_socket() {
            session.identity.store(socket.identity.to_bits(), Release);
            session.has_told.store(true, Release);
        }
    }
}

impl Owned<Conn> {
    /// The session has told a descriptor before.
    pub(crate) fn has_told_fd(&self) -> bool {
        let has_told = |session: &SessionSocket| session.has_told.load(Acquire);
        self.session_socket().is_some_and(has_told)
    }

    /// The number that the driver has told stands for the socket that is known.
    pub(crate) fn has_socket(&self, told: RawFd) -> bool {
        self.raw_fd() == told && self.has_own_socket()
    }

    /// Takes note of a socket that is new. Fails if another connection has it.
    pub(crate) fn claim_socket(&self, told: &DriverSocket) -> Result<(), SocketLost> {
        let slot = self.slot_id();
        if Conn::owner_of(told.number).is_some_and(|owner| owner != slot) {
            return Err(SocketLost::AnothersNumber(told.number));
        }
        match fd_owners::claim(told.number, slot) {
            Ok(Some(loser)) if loser != slot => Conn::lost_its_number(loser),
            Ok(_) => {}
            Err(_) => return Err(SocketLost::NoMemory),
        }
        self.fd.set(told.number);
        self.note_identity(told);
        if told.is_datagram {
            self.mark(DATAGRAM);
        }
        Ok(())
    }

    /// The driver has another socket: nothing is known of this one any more, its hang-up included.
    pub(crate) fn forget_socket(&self) {
        fd_owners::release(self.raw_fd(), self.slot_id());
        self.fd.set(-1);
        self.unmark(WATCHED | ARMED | HUNG_UP | DATAGRAM);
    }
}
