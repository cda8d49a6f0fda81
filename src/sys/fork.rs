//! fork(2): in which process of a line of forks this code runs.
//!
//! A generation is a number: 1 in the process that first called the library, one more in its child, and so on. It stands
//! in a page that the kernel wipes in a child (MADV_WIPEONFORK, madvise(2)), for fork, `_Fork` and clone(2) alike, where
//! handlers of pthread_atfork(3) run for fork only. Zero there means: this is a child, and nobody has called yet.
//!
//! | page | latest | who | then |
//! |---|---|---|---|
//! | none | 0 | first caller of the first process | maps the page |
//! | 0 | n | first caller in a process | puts in order what was inherited ([`enter`]'s `adopt`), then page = latest = n + 1 |
//! | n | n | every other caller | goes on |
//!
//! Whatever another thread of the parent was doing at the fork stays half done in the child for ever. So nothing that
//! belongs to an older generation is locked, changed or dropped; it is left where it is, and made anew (`PerGeneration`).

use std::ptr::NonNull;

use super::{futex, memory, thread};
use crate::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::values::clock::Deadline;

/// Zeroed in a child.
struct Page {
    generation: AtomicU32,
    /// 1 once somebody has begun to put in order what was inherited.
    is_begun: AtomicU32,
}

/// Where the page is; never unmapped.
static PAGE: AtomicPtr<Page> = AtomicPtr::new(std::ptr::null_mut());
/// Serves as the page where the kernel does not wipe one: then fork(3) alone is noticed, by a handler.
static SPARE: Page = Page {
    generation: AtomicU32::new(0),
    is_begun: AtomicU32::new(0),
};
/// The generation of this process, and in a child, until its first call, that of its parent.
static LATEST: AtomicU32 = AtomicU32::new(0);
/// The generation in which fork was called last.
static FORKED_IN: AtomicU32 = AtomicU32::new(0);

fn page() -> Option<&'static Page> {
    // SAFETY: a published page is never unmapped, and zeroes are a valid `Page`.
    unsafe { PAGE.load(Acquire).as_ref() }
}

/// Called first by every function of the library. The first caller of a process runs `adopt` with the new generation,
/// while the others wait and no signal handler runs on its thread.
pub(crate) fn enter(adopt: fn(u32)) {
    if page().is_none_or(|page| page.generation.load(Acquire) == 0) {
        begin(page().unwrap_or_else(map), adopt);
    }
}

/// The same for a signal handler: before the first call of all there is nothing that it could find.
pub(crate) fn enter_from_handler(adopt: fn(u32)) {
    match page() {
        Some(page) if page.generation.load(Acquire) == 0 => begin(page, adopt),
        _ => {}
    }
}

#[cold]
fn begin(page: &Page, adopt: fn(u32)) {
    // A handler that calls the library would wait for the very thread that it interrupted.
    let blocked = thread::SignalsBlocked::new();
    if page.is_begun.swap(1, AcqRel) == 0 {
        let own = LATEST.load(Relaxed) + 1;
        adopt(own);
        // In this order: a child that is forked in between must not take the same number again.
        LATEST.store(own, Release);
        page.generation.store(own, Release);
        futex::wake_everyone(&page.generation);
    }
    while page.generation.load(Acquire) == 0 {
        futex::wait_until(&page.generation, 0, Deadline::NEVER);
    }
    drop(blocked);
}

/// The generation of this process.
pub(crate) fn generation() -> u32 {
    match page().map(|page| page.generation.load(Acquire)) {
        // Only code that was inside the library before the fork (a callback forked and returned) can see this.
        None | Some(0) => LATEST.load(Acquire) + 1,
        Some(generation) => generation,
    }
}

/// fork was called in this process: a child may hold copies of its descriptors.
pub(crate) fn has_forked() -> bool {
    FORKED_IN.load(Acquire) == generation()
}

#[cold]
fn map() -> &'static Page {
    // Before the page is published: a process that has one has the handlers too. Registered twice they do no harm.
    // SAFETY: functions that live as long as the process (the library is never unloaded).
    unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) };
    let fresh = memory::map_wiped_on_fork(size_of::<Page>());
    let fresh: *mut Page = fresh.map_or(
        std::ptr::from_ref(&SPARE).cast_mut(),
        |page: NonNull<u8>| page.as_ptr().cast(),
    );
    let nobody = std::ptr::null_mut();
    let first = match PAGE.compare_exchange(nobody, fresh, AcqRel, Acquire) {
        Ok(_) => fresh,
        // Another thread was faster; this page of ours stays, 4 KiB once in a process's life.
        Err(first) => first,
    };
    // SAFETY: as in `page`.
    unsafe { &*first }
}

/// Before, not after: what another thread closes from now on may have a copy in the child.
extern "C" fn before_fork() {
    let generation = page().map_or(0, |page| page.generation.load(Acquire));
    FORKED_IN.store(generation, Release);
}

/// What the kernel does where it can.
extern "C" fn in_child() {
    SPARE.generation.store(0, Relaxed);
    SPARE.is_begun.store(0, Release);
}
