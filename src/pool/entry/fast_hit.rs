//! The fast path of a hit: a connection that this thread gave back and no other has taken since is
//! borrowed by one exchange of its slot's word, and given back by another (`handle`'s `biased`
//! explains why that is safe).
//!
//! No lock, no allocation, no cache line that another thread writes (unless it uses the next slot).
//! Only where nothing has to be asked or told: no hook at either end, no event, no leak report, no
//! lifetime, last in first out, and so on (`Pool::is_plain`); a connection on which anything out of
//! the ordinary was done or noticed (`conn::TOLD_TO_THE_POOL`) comes back by the slow path. A
//! thread that waits, counts, limits, drains or closes revokes the fast path under the pool's lock,
//! and then the borrower takes the slow path too (`state::revoke`).
//!
//! Nothing in [`borrow`], [`is_quiet`] and [`give_back`] is a cancellation point or can panic:
//! `ffi` calls them outside of its wall.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::handle::{Kept, SlotId};
use crate::pool::conn::io;
use crate::pool::conn::Conn;
use crate::pool::entry::fork::close_copy_of_lent;
use crate::pool::thread_cache::{self, KeyRef};
use crate::pool::Pool;
use crate::sys::{clock, fork, socket};
use crate::values::options::Options;

/// A connection that was borrowed so.
pub(crate) struct Hit {
    pub(crate) fd: RawFd,
    pub(crate) handle: usize,
    /// It is not its borrower's before it [`is_quiet`], or [`is_fit`].
    pub(crate) needs_peek: bool,
}

/// Borrows what this thread has used last for that key.
#[inline(always)]
pub(crate) fn borrow(key: &KeyRef<'_>) -> Option<Hit> {
    let mut cache = thread_cache::borrow_own()?;
    let entry = cache.find(key)?;
    let offer = entry.offer(|| clock::now_coarse().nanos())?;
    Some(Hit {
        handle: entry.borrow(&offer)?,
        fd: offer.info.fd,
        needs_peek: offer.info.needs_peek,
    })
}

/// Nothing has arrived on one that was borrowed so. Not asked before it is: the number might be
/// another socket's by then, and a look at that one takes its pending error.
#[inline(always)]
pub(crate) fn is_quiet(hit: &Hit) -> bool {
    socket::is_quiet(hit.fd)
}

/// Whether one that was borrowed so may be handed out all the same. If not it is closed, as one
/// that the pool finds unfit.
pub(crate) fn is_fit(handle: usize) -> bool {
    let Ok(pin) = Conn::table().pin(handle) else {
        return false;
    };
    let pool = pin.pool().clone();
    let Some(cause) = pin.find_unfit() else {
        return true;
    };
    let slot = pin.slot_id();
    pool.change(|state, _, _| {
        if state.revoke_one(|| pin.node(), slot.to_bits()) {
            state.uncount_reuse();
        }
    });
    drop(pin);
    if let Ok(conn) = Conn::table().take_back(handle, |busy| io::kick(busy, slot)) {
        pool.reject(conn, cause);
    }
    false
}

/// Gives a connection back, if it came by [`borrow`] and nothing is the matter with it.
#[inline]
pub(crate) fn give_back(handle: usize) -> bool {
    let now = clock::now_coarse().nanos();
    Conn::table().give_back_biased(handle, now)
}

/// Gives a session back by the fast path, if its driver tells that nothing has changed: code of the
/// program, for which [`give_back`] has no wall.
pub(crate) fn give_back_session(handle: usize) -> bool {
    if !Conn::table().asks_at_return(handle) {
        return false;
    }
    let Ok(pin) = Conn::table().pin(handle) else {
        return false;
    };
    let now = clock::now_coarse();
    if !pin.is_biased() || pin.is_asked_about() || !pin.was_verified_lately(now) {
        return false;
    }
    let before = fork::epoch();
    let tells_same = pin.tells_same_fd();
    if fork::enter_if_forked(before) {
        // The parent's pin ended with the handle, which `adopt` has closed.
        std::mem::forget(pin);
        close_copy_of_lent(handle);
        return true;
    }
    tells_same && pin.give_back(now.nanos()).is_ok()
}

impl Options {
    /// Borrowing and giving back are nothing but that.
    pub(crate) fn are_plain(&self) -> bool {
        !self.verify_release && self.leak_threshold.is_none()
    }
}

impl Pool {
    /// Revokes the bias of one connection: if it is out, it comes back by the slow path.
    pub(crate) fn revoke(&self, conn: &Conn, slot: SlotId) {
        self.change(|state, _, _| state.revoke_one(|| conn.node(), slot.to_bits()));
    }
}
