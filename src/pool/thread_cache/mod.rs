//! What a thread has dialed lately, by the text that it passed: the destination it means, so that nothing is parsed twice, and the
//! connection that it used last, so that a hit finds it by one look (`quick`).
//!
//! Each thread has hints of its own, which nobody else sees. A hint promises nothing: the connection's own word says whether it still is
//! where the hint leads. Hints of a pool that has ended go when their thread next dials the long way, and all of them with the thread.
#![forbid(unsafe_code)]

mod key;
mod table;

pub(crate) use self::key::{Key, Named};
use self::table::Hints;
use super::conn::{Conn, QUICK};
use super::PoolHandle;
use crate::handle::{Kept, Owned, Trace};
use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};
use crate::sync::Arc;
use crate::sys::thread::cell::{borrow, Dropper, ThreadCell, ThreadGuard};
use crate::values::destination::Destination;

/// How many pools have ended.
static ENDED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CELL: ThreadCell<Hints> = const { ThreadCell::new() };
    static DROPPER: Dropper<Hints> = const { Dropper::new() };
}

/// A pool has ended, and its handle is over: this thread's hints to it go now, those of other threads when they next dial
/// the long way.
pub(crate) fn pool_ended() {
    ENDED.fetch_add(1, Relaxed);
    drop(swept());
}

/// This thread's hints, if it has any.
#[inline(always)]
pub(super) fn at_hand() -> Option<ThreadGuard<Hints>> {
    borrow(&CELL)
}

/// This thread's hints, without those of pools that have ended.
fn swept() -> Option<ThreadGuard<Hints>> {
    let mut hints = at_hand()?;
    hints.sweep(ENDED.load(Relaxed));
    Some(hints)
}

/// This thread's hints, made if need be. At a thread's end, when they are gone already, it may still dial.
fn at_hand_or_new() -> Option<ThreadGuard<Hints>> {
    swept().or_else(|| {
        DROPPER
            .try_with(|dropper| dropper.fill(&CELL, Hints::NONE))
            .ok()?;
        at_hand()
    })
}

/// What the text means, if this thread has dialed it before.
pub(crate) fn destination(key: &Key<'_>) -> Option<Arc<Destination>> {
    Some(swept()?.find(key)?.destination.clone())
}

/// This thread borrows a connection by that name.
pub(crate) fn note(name: Named, conn: &Owned<Conn>) {
    let limit = conn.pool().fast_path_idle_ms();
    let [_, trace] = conn.traces(limit);
    let trace = (conn.has(QUICK) && limit > 0).then_some(trace);
    let note = |mut hints: ThreadGuard<Hints>| {
        PoolHandle::table().pin(name.pool).ok()?;
        let before = hints.keep(name, conn, trace);
        if trace.is_some() {
            let seats = [before.as_ref().map(Trace::seat), Some(conn.seat())];
            let seats = seats.into_iter().flatten();
            seats.for_each(|seat| hints.lends(seat));
        }
        before
    };
    recall(at_hand_or_new().and_then(note), trace);
}

/// This thread gives a connection back: it is the next one to be borrowed.
pub(super) fn comes_next(conn: &Owned<Conn>) {
    let limit = conn.pool().fast_path_idle_ms();
    if !conn.has(QUICK) || limit == 0 {
        return;
    }
    let [trace, _] = conn.traces(limit);
    let note = |mut hints: ThreadGuard<Hints>| {
        let hint = hints.takes_back(conn.seat())?;
        let is_its = Arc::ptr_eq(&hint.destination, conn.shared_destination());
        is_its.then(|| hint.trace.replace(trace))?
    };
    recall(at_hand().and_then(note), Some(trace));
}

/// What a trace that was replaced leads to comes back the long way, if it is out: only the newest may take the short one, so that a
/// thread finds its connections in the order in which it gave them back.
fn recall(before: Option<Trace<Conn>>, now: Option<Trace<Conn>>) {
    let Some(before) = before.filter(|_| before != now) else {
        return;
    };
    if let Ok(pin) = Conn::table().pin_shelved(&before) {
        pin.pool().revoke(&pin, pin.place());
    }
}
