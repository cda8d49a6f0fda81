//! fork(2): in which process of a line of forks this code runs.
//!
//! An epoch is a number: 1 in the process that first called the library, one more in its child, and
//! so on. It stands in a page that the kernel wipes in a child (MADV_WIPEONFORK, madvise(2)), for
//! fork, `_Fork` and clone(2) alike, where handlers of pthread_atfork(3) run for fork only. Zero
//! there means: this is a child, and nobody has called yet.
//!
//! | page | latest | who | then |
//! |---|---|---|---|
//! | none | 1 | first caller of the first process | maps the page, with 1 in it |
//! | 0 | n | first caller in a child | latest = n + 1, `adopt` the inherited, page = n + 1 |
//! | n | n | every other caller | goes on |
//!
//! Whatever another thread of the parent was doing at the fork stays half done in the child for
//! ever. So nothing that belongs to an older epoch is locked, changed or dropped; it is left where
//! it is, and made anew (`PerProcess`).
//!
//! Code that was inside the library when its own thread forked (in a callback of the program) comes
//! back into the library in the child. It asks [`enter_if_forked`] behind every callback, and
//! leaves by the shortest way.

use crate::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sys::{futex, memory, thread};
use crate::values::clock::Deadline;

/// Zeroed in a child.
struct Page {
    epoch: AtomicU32,
    /// 1 once a thread has begun to put in order what was inherited.
    is_begun: AtomicU32,
}

impl Page {
    const fn empty() -> Self {
        Self {
            epoch: AtomicU32::new(0),
            is_begun: AtomicU32::new(0),
        }
    }
}

/// Stands for the page before there is one: nobody has called the library yet.
static NO_PAGE: Page = Page::empty();
/// Serves as the page where the kernel does not wipe one: then fork(3) alone is noticed, by a
/// handler.
static SPARE: Page = Page::empty();
/// Where the page is; never unmapped.
static PAGE: AtomicPtr<Page> = AtomicPtr::new(std::ptr::from_ref(&NO_PAGE).cast_mut());
/// The epoch of this process, and in a child, until its first call, that of its parent.
static LATEST: AtomicU32 = AtomicU32::new(1);
/// The epoch in which fork was called last.
static FORKED_IN: AtomicU32 = AtomicU32::new(0);
/// `enter`'s `adopt`, for those below who cannot name it.
static ADOPT: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

fn page() -> &'static Page {
    // SAFETY: a published page is never unmapped, and zeroes are a valid `Page`.
    unsafe { &*PAGE.load(Acquire) }
}

/// Called first by every function of the library. The first caller in a child runs `adopt` with the
/// new epoch, while the others wait and no signal handler runs on its thread.
pub(crate) fn enter(adopt: fn(u32)) {
    if page().epoch.load(Acquire) == 0 {
        begin(adopt);
    }
}

/// The epoch of this process; 0 if only one of its parents has called yet.
#[inline(always)]
pub(crate) fn epoch_if_entered() -> u32 {
    page().epoch.load(Acquire)
}

/// As [`enter`], for a signal handler: before the first call of all there is nothing that it could
/// find.
pub(crate) fn enter_from_handler(adopt: fn(u32)) {
    if is_prepared() {
        enter(adopt);
    }
}

/// A fork will be noticed. False before the first call, and where there was no memory for that: the
/// next call tries again.
pub(crate) fn is_prepared() -> bool {
    !std::ptr::eq(page(), &NO_PAGE)
}

/// Called when a callback has returned, with the epoch of before it: true if the callback forked,
/// and this is the child, which then has entered.
pub(crate) fn enter_if_forked(before: u32) -> bool {
    let adopt = ADOPT.load(Acquire);
    if page().epoch.load(Acquire) == 0 && !adopt.is_null() {
        // SAFETY: what `map` stored.
        begin(unsafe { std::mem::transmute::<*mut (), fn(u32)>(adopt) });
    }
    epoch() != before
}

/// What unwinds a call of the parent's that a callback has brought into the child, up to the C
/// boundary or the end of the thread.
#[derive(Debug)]
pub(crate) struct CameBack;

/// Ends such a call before it touches what may be locked for ever. Nothing is printed: no panic
/// hook runs.
#[cold]
pub(crate) fn leave_parents_call() -> ! {
    std::panic::resume_unwind(Box::new(CameBack))
}

#[cold]
fn begin(adopt: fn(u32)) {
    // close(2) in `adopt` is a cancellation point, and not every caller has seen to that.
    let _deferred = thread::CancellationDeferred::new();
    if !is_prepared() {
        map(adopt);
    }
    if !is_prepared() {
        return;
    }
    // A handler that calls the library would wait for the very thread that it interrupted.
    let blocked = thread::SignalsBlocked::new();
    let page = page();
    if page.epoch.load(Acquire) == 0 && page.is_begun.swap(1, AcqRel) == 0 {
        let own = LATEST.load(Relaxed) + 1;
        // First: a child that another thread forks meanwhile must not take the same number again.
        LATEST.store(own, Release);
        adopt(own);
        page.epoch.store(own, Release);
        futex::wake_everyone(&page.epoch);
    }
    while page.epoch.load(Acquire) == 0 {
        futex::wait_until(&page.epoch, 0, Deadline::NEVER);
    }
    drop(blocked);
}

/// The epoch of this process, for all who have entered.
pub(crate) fn epoch() -> u32 {
    LATEST.load(Acquire)
}

/// fork was called in this process: a child may hold copies of its descriptors.
pub(crate) fn has_forked() -> bool {
    FORKED_IN.load(Acquire) == epoch()
}

/// The first call of all, here and in every ancestor: there is nothing to adopt. Does nothing where
/// there is no memory.
fn map(adopt: fn(u32)) {
    ADOPT.store(adopt as *mut (), Release);
    // Before the page is published: a process that has one has the handlers too. Registered twice
    // they do no harm. SAFETY: functions that live as long as the process (the library is never
    // unloaded).
    if unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) } != 0 {
        return;
    }
    let fresh: *mut Page = match memory::map_wiped_on_fork(size_of::<Page>()) {
        Ok(page) => page.as_ptr().cast(),
        Err(_) => std::ptr::from_ref(&SPARE).cast_mut(),
    };
    // SAFETY: zeroed memory of a page's size, or the spare one.
    unsafe { &*fresh }
        .epoch
        .store(LATEST.load(Relaxed), Relaxed);
    let nobody = std::ptr::from_ref(&NO_PAGE).cast_mut();
    // Where another thread was faster, this page of ours stays unused: 4 KiB once in a process's
    // life.
    let _ = PAGE.compare_exchange(nobody, fresh, AcqRel, Acquire);
}

/// Before, not after: what another thread closes from now on may have a copy in the child.
extern "C" fn before_fork() {
    FORKED_IN.store(page().epoch.load(Acquire), Release);
}

/// What the kernel does where it can.
extern "C" fn in_child() {
    SPARE.epoch.store(0, Relaxed);
    SPARE.is_begun.store(0, Release);
}
