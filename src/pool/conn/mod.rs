//! One connection: the socket and what is known of it, from dial to close, in its slot of the
//! handle table.
//!
//! Many threads may look at a connection at once (the borrowers', the engine), so what changes is
//! atomic; the order between borrowers comes from the pool's lock and the slot's word. Reads and
//! writes are in `io`.
#![forbid(unsafe_code)]

mod extras;
pub(crate) mod follow_up;
mod held;
pub(crate) mod io;
mod liveness;
pub(crate) mod loan;
pub(crate) mod session;
pub(crate) mod sleepers;
mod socket;
pub(crate) mod unclosed;

use once_cell::race::OnceBox;

use self::extras::Extras;
use self::session::SessionSocket;
use super::state::DestinationId;
use super::Pool;
use crate::handle::{HandleKind, Kept, Owned, SlotId, Table};
use crate::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sync::Arc;
use crate::sys::foreign::{ConnFd, SessionFd};
use crate::sys::socket::Identity;
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::options::Liveness;

/// The peer has hung up, or the socket failed.
pub(crate) const HUNG_UP: u32 = 1 << 0;
/// epoll watches for the hang-up.
pub(crate) const WATCHED: u32 = 1 << 1;
/// epoll watches for bytes too.
pub(crate) const ARMED: u32 = 1 << 2;
/// One read is one datagram, and there is no end of stream.
pub(crate) const DATAGRAM: u32 = 1 << 3;
/// The descriptor is in non-blocking mode, as far as the library set it.
pub(crate) const NONBLOCKING: u32 = 1 << 4;
/// The program gave it a pointer of its own.
pub(crate) const HAS_DATA: u32 = 1 << 5;
/// Liveness + 1 in two bits.
const LIVENESS_SHIFT: u32 = 6;
const LIVENESS: u32 = 3 << LIVENESS_SHIFT;
/// This borrow: it came from the pool.
pub(crate) const REUSED: u32 = 1 << 8;
/// This borrow: the borrower wants it closed.
pub(crate) const DISCARDED: u32 = 1 << 9;
/// This borrow: a read, write or wait failed.
pub(crate) const FAILED: u32 = 1 << 10;
/// This borrow: end of stream or an I/O error, which another connection may not have.
pub(crate) const ENDED: u32 = 1 << 11;
/// This borrow: a deadline was set.
const HAS_DEADLINE: u32 = 1 << 12;
/// The handle is being closed: whoever reads or writes must leave.
pub(crate) const CLOSING: u32 = 1 << 13;
/// This borrow: a token may end its reads and writes.
pub(crate) const HAS_TOKEN: u32 = 1 << 14;
/// Shut down by vcp_pool_abort, or because the pool was closed while its hook ran: never of use
/// again.
pub(crate) const ABORTED: u32 = 1 << 15;
/// This borrow: its borrower gave it a label.
const HAS_LABEL: u32 = 1 << 17;
/// This borrow: reported as a leak.
pub(crate) const LEAKED: u32 = 1 << 18;
/// The pool no longer counts it.
pub(crate) const GONE: u32 = 1 << 19;
/// A hook of the program is looking at it: it must not be closed now.
pub(crate) const IN_HOOK: u32 = 1 << 20;
/// This borrow: a hook has seen its handle, which stays the borrower's.
pub(crate) const SHOWN: u32 = 1 << 21;
/// Shut down because a dial's time was over while its hook ran: never of use again.
pub(crate) const LATE: u32 = 1 << 22;
/// Shut down because a dial's token fired while its hook ran: never of use again.
pub(crate) const CANCELED: u32 = 1 << 23;
/// Shut down by the library: the end of stream that a read finds is not the peer's.
pub(crate) const CUT: u32 = ABORTED | LATE | CANCELED;
/// It may be borrowed from its shelf without the pool's lock (`entry::fast_hit`).
pub(crate) const FAST_PATH: u32 = 1 << 24;
/// A session of a driver, whose descriptor is the driver's.
pub(crate) const SESSION: u32 = 1 << 25;
/// A thread asks the driver about it by the fast path.
pub(crate) const ASKING: u32 = 1 << 26;
const OF_ONE_BORROW: u32 = REUSED | DISCARDED | FAILED | ENDED | CLOSING | LEAKED | SHOWN;
/// One that changes in one of these is borrowed and given back by the pool.
const TOLD_TO_THE_POOL: u32 = HUNG_UP
    | WATCHED
    | NONBLOCKING
    | LIVENESS
    | DISCARDED
    | FAILED
    | CLOSING
    | HAS_TOKEN
    | HAS_DEADLINE
    | HAS_LABEL
    | CUT
    | GONE
    | IN_HOOK
    | SHOWN;

/// One connection, in its slot of the handle table from dial to close.
#[derive(Debug)]
pub(crate) struct Conn {
    pool: Arc<Pool>,
    destination: Arc<Destination>,
    remote: Option<Arc<Endpoint>>,
    opened_at: Time,
    /// Made when something of it is first needed.
    extras: OnceBox<Extras>,
    fd: ConnFd,
    destination_id: DestinationId,
    /// Of the pool's own socket.
    identity: Identity,
    slot_index: AtomicU32,
    flags: AtomicU32,
    uses: AtomicU32,
    /// Its slot's generation when its loans were counted last. Under the pool's lock.
    counted_at: AtomicU32,
    /// How often its pool had been evicted from when it got this one. Under the pool's lock.
    eviction_epoch: AtomicU32,
    /// The generation of the borrow in which it was read from last; 0, which one in 2^32 has: it
    /// was not.
    read_in: AtomicU32,
    /// Reads, writes and waits that are running.
    running: AtomicU32,
}

impl Kept for Conn {
    fn table() -> &'static Table<Self> {
        static CONNS: Table<Conn> = Table::new(HandleKind::Conn);
        &CONNS
    }

    fn is_lent_to_callback(&self) -> bool {
        self.has(IN_HOOK)
    }
}

/// What carries a connection.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The pool's own socket, as it was when the connection began.
    Socket(ConnFd, Identity),
    /// A driver's session, which tells its socket so.
    Session(Option<SessionFd>),
}

/// What is known of a socket that becomes a connection.
#[derive(Debug)]
pub(crate) struct SocketInfo {
    /// `None`: to be asked.
    pub(crate) identity: Option<Identity>,
    pub(crate) remote: Option<Arc<Endpoint>>,
    pub(crate) retire_at: Time,
    pub(crate) is_datagram: bool,
    pub(crate) is_nonblocking: bool,
}

impl Conn {
    pub(crate) fn new(
        transport: Transport,
        pool: Arc<Pool>,
        destination_id: DestinationId,
        destination: Arc<Destination>,
        info: SocketInfo,
        opened_at: Time,
    ) -> Self {
        let flag = |is: bool, bit| if is { bit } else { 0 };
        let liveness = pool.options().liveness as u32 + 1;
        let (fd, identity, session) = match transport {
            Transport::Socket(fd, identity) => (fd, identity, None),
            Transport::Session(asks) => {
                let session = SessionSocket::new(asks);
                (ConnFd::of_driver(), Identity::default(), Some(session))
            }
        };
        let is_session = session.is_some();
        let flags = flag(info.is_datagram, DATAGRAM)
            | flag(info.is_nonblocking, NONBLOCKING)
            | flag(is_session, SESSION)
            | flag(pool.is_plain() && !info.is_datagram, FAST_PATH)
            | liveness << LIVENESS_SHIFT;
        Self {
            pool,
            destination,
            remote: info.remote,
            opened_at,
            extras: Extras::of(info.retire_at, session),
            fd,
            destination_id,
            identity,
            slot_index: AtomicU32::new(0),
            flags: AtomicU32::new(flags),
            uses: AtomicU32::new(0),
            counted_at: AtomicU32::new(0),
            eviction_epoch: AtomicU32::new(0),
            read_in: AtomicU32::new(0),
            running: AtomicU32::new(0),
        }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(crate) fn shared_destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    pub(crate) fn shared_remote(&self) -> Option<&Arc<Endpoint>> {
        self.remote.as_ref()
    }

    pub(crate) fn remote(&self) -> Option<&Endpoint> {
        self.remote.as_deref()
    }

    pub(crate) fn opened_at(&self) -> Time {
        self.opened_at
    }

    pub(crate) fn uses(&self) -> u32 {
        self.uses.load(Acquire)
    }

    /// Where it stands on its shelf; `NOWHERE` if it does not.
    pub(crate) fn node(&self) -> u32 {
        Conn::table().owner_data(self.slot_index.load(Relaxed))
    }

    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags.load(Acquire) & flags != 0
    }

    pub(crate) fn mark(&self, flags: u32) {
        self.flags.fetch_or(flags, AcqRel);
        self.has_changed(flags);
    }

    pub(crate) fn unmark(&self, flags: u32) {
        self.flags.fetch_and(!flags, AcqRel);
        self.has_changed(flags);
    }

    /// The program closed its descriptor behind the library's back, and the number is another
    /// connection's by now: the pool finds that when it is asked.
    pub(crate) fn lost_its_number(slot: SlotId) {
        if let Some(conn) = Conn::table().pin_slot(slot) {
            conn.has_changed(TOLD_TO_THE_POOL);
        }
    }

    fn has_changed(&self, flags: u32) {
        if flags & TOLD_TO_THE_POOL != 0 {
            Conn::table().force_slow(self.slot_index.load(Relaxed));
        }
    }

    pub(crate) fn is_datagram(&self) -> bool {
        self.has(DATAGRAM)
    }

    /// How it is looked at before it is handed out again. What cannot be watched is peeked at in
    /// every mode.
    pub(crate) fn liveness(&self) -> Liveness {
        match (self.flags.load(Relaxed) & LIVENESS) >> LIVENESS_SHIFT {
            1 => Liveness::Strict,
            2 => Liveness::AllowData,
            _ => Liveness::Watch,
        }
    }

    pub(crate) fn set_liveness(&self, liveness: Liveness) {
        let wanted = (liveness as u32 + 1) << LIVENESS_SHIFT;
        let set = |flags| Some(flags & !LIVENESS | wanted);
        let _ = self.flags.fetch_update(AcqRel, Acquire, set);
        self.has_changed(LIVENESS);
    }

    /// A borrow begins: what belonged to the last one is forgotten.
    pub(crate) fn begin_borrow(&self, is_reused: bool) {
        let mark = if is_reused { REUSED } else { 0 };
        self.let_go_of_token();
        let flags = self.flags.load(Relaxed);
        if flags & OF_ONE_BORROW != mark {
            self.unmark(OF_ONE_BORROW);
            self.mark(mark);
        }
        if self.has(HAS_DEADLINE) {
            self.set_deadlines(Some(Deadline::NEVER), Some(Deadline::NEVER));
            self.unmark(HAS_DEADLINE);
        }
        self.uses
            .store(self.uses.load(Relaxed).saturating_add(1), Release);
    }

    /// A hook has read what is no business of its borrower's, who has not begun.
    pub(super) fn forget_what_was_read(&self) {
        self.read_in.store(0, Release);
    }

    /// At least one byte was read in the borrow of that generation.
    pub(crate) fn was_read(&self, generation: u32) {
        if !self.has_been_read(generation) {
            self.read_in.store(generation, Release);
        }
    }

    pub(crate) fn has_been_read(&self, generation: u32) -> bool {
        self.read_in.load(Acquire) == generation
    }

    /// A read, write or wait runs for as long as the value lives.
    pub(crate) fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, AcqRel);
        Running(self)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Acquire) > 0
    }
}

impl Owned<Conn> {
    /// Gives it to its borrower, by the handle that a hook of this borrow has seen, if one has.
    pub(crate) fn lend_out(self) -> usize {
        if self.has(SHOWN) {
            self.unmark(SHOWN);
            self.lend_again()
        } else {
            self.lend()
        }
    }
}

/// A read, write or wait is running on the connection while the value lives ([`Conn::run`]).
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Conn);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, AcqRel);
    }
}
