//! What a thread has dialed lately, by the texts that it passed: the connection that it used last,
//! so that the fast path finds it by one look (`entry::fast_hit`), and nothing is parsed anew while
//! that connection lives, or while nothing else is dialed.
//!
//! Each thread has a cache of its own, which no other thread sees. An entry promises nothing: the
//! slot's word says whether the connection still is where the entry leads. A cache takes at most 2
//! MiB, and then forgets its oldest entries. Entries of a pool that has ended go when their thread
//! next takes the slow path, and the whole cache goes with the thread.
#![forbid(unsafe_code)]

mod buckets;
mod bytes;
mod entry;
mod key;
mod lines;
mod table;

pub(crate) use self::key::{KeyRef, OwnedKey};
use self::table::ThreadCache;
use super::conn::{Conn, FAST_PATH};
use super::PoolHandle;
use crate::handle::{CachedSlot, Kept, Owned};
use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};
use crate::sync::Arc;
use crate::sys::thread::cell::{borrow, borrow_or_fill, ThreadCell, ThreadGuard};
use crate::values::destination::Destination;

/// How many pools have ended.
static ENDED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CACHE: ThreadCell<ThreadCache> = const { ThreadCell::new() };
}

/// Called when a pool's handle is over: this thread forgets the pool now, other threads when they
/// next take the slow path.
pub(crate) fn pool_ended() {
    ENDED.fetch_add(1, Relaxed);
    drop(swept());
}

/// This thread's cache, if it has one and nothing is using it.
#[inline(always)]
pub(super) fn borrow_own() -> Option<ThreadGuard<ThreadCache>> {
    borrow(&CACHE)
}

/// This thread's cache, without pools that have ended.
fn swept() -> Option<ThreadGuard<ThreadCache>> {
    let mut cache = borrow_own()?;
    cache.sweep(ENDED.load(Relaxed));
    Some(cache)
}

/// This thread's cache, made if need be. `None`: it is in use, or nothing would drop it at the
/// thread's end.
fn swept_or_new() -> Option<ThreadGuard<ThreadCache>> {
    swept().or_else(|| borrow_or_fill(&CACHE, ThreadCache::EMPTY))
}

/// What the texts mean, if this thread has dialed them before, and the connection still lives or
/// nothing else was dialed since.
pub(crate) fn destination(key: &KeyRef<'_>) -> Option<Arc<Destination>> {
    let mut cache = swept()?;
    let conn = cache.find(key)?.slot_id();
    let Some(conn) = Conn::table().pin_slot(conn) else {
        return cache.newest_meaning();
    };
    // In a forked child the pool of before is not this process's.
    (!conn.pool().is_inherited()).then(|| conn.shared_destination().clone())
}

/// This thread borrows a connection by that key.
pub(crate) fn remember(key: &OwnedKey, conn: &Owned<Conn>) {
    let limit = fast_path_limit(conn);
    let [_, slot] = conn.cached_slots();
    let replaced = swept_or_new().and_then(|mut cache| {
        // A pool that ends after this look is swept later.
        PoolHandle::table().pin(key.pool).ok()?;
        let replaced = cache.remember(key, slot, limit);
        if limit > 0 {
            cache.lend(conn.slot_id());
        }
        cache.note_meaning(conn.shared_destination());
        Some(replaced)
    });
    for before in replaced.into_iter().flatten().flatten() {
        revoke_replaced(before, slot);
    }
}

/// This thread gives a connection back: it is the next one to be borrowed.
pub(super) fn give_back(conn: &Owned<Conn>) {
    let limit = fast_path_limit(conn);
    if limit == 0 {
        return;
    }
    let [slot, _] = conn.cached_slots();
    let replaced = borrow_own().and_then(|mut cache| {
        let entry = cache.entry_of(conn.slot_id())?;
        entry.replace(slot, limit)
    });
    if let Some(before) = replaced {
        revoke_replaced(before, slot);
    }
}

/// The fast path may borrow it until it has been idle for so many milliseconds; 0: not at all.
fn fast_path_limit(conn: &Conn) -> u32 {
    let limit = conn.pool().fast_path_idle_ms();
    if conn.has(FAST_PATH) {
        limit
    } else {
        0
    }
}

/// A connection that the cache does not lead to any more is given back by the slow path, if it is
/// out: only the newest may take the fast path, so that a thread finds its connections in the order
/// in which it gave them back.
fn revoke_replaced(before: CachedSlot<Conn>, now: CachedSlot<Conn>) {
    if before == now {
        return;
    }
    if let Ok(pin) = Conn::table().pin_biased(&before) {
        pin.pool().revoke(&pin, pin.slot_id());
    }
}
