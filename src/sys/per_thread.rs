//! A value per thread, found by one load and used by one part of the program at a time: std's thread-local values that need a drop ask at
//! each access whether it has been arranged, and a `RefCell` inside hands its value to a closure, which is not compiled into its caller.
//!
//! Other threads may ask for it to be tidied ([`All::tidy`]), which a thread that sleeps for ever must not hold up, and for which one that
//! comes by often must not pay. So its comings and goings are plain stores and loads, and whoever tidies has all threads pass a barrier
//! between its claim and its look:
//!
//! | claim | is_in_use | who has the value | then |
//! |---|---|---|---|
//! | FREE | either | its thread, while in use | |
//! | TAKEN | false | who tidies, once all have passed the barrier | FREE |
//! | TAKEN | true | its thread | ASKED, and another barrier and look: it may have left meanwhile |
//! | ASKED | true | its thread, which tidies when it leaves | FREE |
//!
//! A thread that comes says so before it looks at the claim, and one that leaves before it looks whether it is asked: after a barrier one
//! of the two sees the other.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::thread::LocalKey;

use super::per_generation::{leave, PerGeneration};
use super::{fork, membarrier};
use crate::sync::atomic::{
    compiler_fence, AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use crate::sync::Mutex;

/// What can be tidied by any thread.
pub(crate) trait Tidy: Send + 'static {
    fn tidy(&mut self);
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const ASKED: u32 = 2;

/// Where a thread's value is, once it has one.
pub(crate) struct Place<T: Tidy>(Cell<Option<NonNull<Stand<T>>>>);

/// Frees it at the thread's end.
pub(crate) struct Keeper<T: Tidy>(Cell<Option<Kept<T>>>);

struct Kept<T: Tidy> {
    stand: NonNull<Stand<T>>,
    place: &'static LocalKey<Place<T>>,
    all: &'static PerGeneration<All<T>>,
}

struct Stand<T> {
    is_in_use: AtomicBool,
    claim: AtomicU32,
    /// The fork generation in which it was enlisted last; its thread's alone.
    enlisted_in: Cell<u32>,
    value: UnsafeCell<T>,
}

/// The use of this thread's value; nobody else has it meanwhile.
pub(crate) struct Here<T: Tidy>(NonNull<Stand<T>>, PhantomData<*mut T>);

impl<T: Tidy> Place<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }
}

/// `None` before the thread has a value, at its end, while it is in use, and while another thread tidies it.
#[inline(always)]
pub(crate) fn here<T: Tidy>(place: &'static LocalKey<Place<T>>) -> Option<Here<T>> {
    let at = place.with(|place| place.0.get())?;
    // SAFETY: the place points to what the keeper of this thread has not freed.
    let stand = unsafe { at.as_ref() };
    if stand.is_in_use.load(Relaxed) {
        return None;
    }
    stand.is_in_use.store(true, Relaxed);
    compiler_fence(SeqCst);
    if stand.claim.load(Acquire) == TAKEN {
        stand.leave();
        return None;
    }
    Some(Here(at, PhantomData))
}

impl<T: Tidy> Stand<T> {
    #[inline(always)]
    fn leave(&self) {
        self.is_in_use.store(false, Release);
        compiler_fence(SeqCst);
        if self.claim.load(Relaxed) == ASKED {
            self.do_as_asked();
        }
    }

    #[cold]
    fn do_as_asked(&self) {
        // In a child that has not called yet nothing is as it seems; there is another time.
        while self.claim.load(Relaxed) == ASKED && fork::generation_if_entered() != 0 {
            self.is_in_use.store(true, Relaxed);
            if self.moves(ASKED, FREE) {
                // SAFETY: it was asked of this thread, and whoever claims it from now on sees that it is in use.
                unsafe { (*self.value.get()).tidy() };
            }
            self.is_in_use.store(false, Release);
            compiler_fence(SeqCst);
        }
    }

    fn moves(&self, from: u32, to: u32) -> bool {
        self.claim
            .compare_exchange(from, to, AcqRel, Acquire)
            .is_ok()
    }

    /// By another thread, after a barrier that came behind the claim. False if its own thread has it.
    fn tidy_if_left(&self) -> bool {
        if self.is_in_use.load(Acquire) {
            return false;
        }
        // SAFETY: claimed, and its thread has been seen outside since: it comes in no more.
        unsafe { (*self.value.get()).tidy() };
        self.claim.store(FREE, Release);
        true
    }
}

impl<T: Tidy> Here<T> {
    fn stand(&self) -> &Stand<T> {
        // SAFETY: in use, so it is not freed.
        unsafe { self.0.as_ref() }
    }

    /// From now on it is tidied with the others.
    pub(crate) fn enlist(&self, all: &PerGeneration<All<T>>) {
        let stand = self.stand();
        if stand.enlisted_in.replace(fork::generation()) != fork::generation() {
            All::of(all).0.lock().push(Listed(self.0));
        }
    }
}

impl<T: Tidy> Deref for Here<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this is the one who uses it.
        unsafe { &*self.stand().value.get() }
    }
}

impl<T: Tidy> DerefMut for Here<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.stand().value.get() }
    }
}

impl<T: Tidy> Drop for Here<T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.stand().leave();
    }
}

impl<T: Tidy> Kept<T> {
    /// False in a child that was made while another thread of its parent tidied it: half tidied it stays, and out of use.
    fn is_of_use(&self) -> bool {
        // SAFETY: nobody but the keeper frees it.
        let stand = unsafe { self.stand.as_ref() };
        let is_lost =
            stand.claim.load(Acquire) == TAKEN && stand.enlisted_in.get() != fork::generation();
        if is_lost {
            leave(self.stand.as_ptr().cast());
        }
        !is_lost
    }
}

impl<T: Tidy> Keeper<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// From now on `value` is this thread's, at that place, if it has none; it will be enlisted in `all`.
    pub(crate) fn keep(
        &self,
        value: T,
        place: &'static LocalKey<Place<T>>,
        all: &'static PerGeneration<All<T>>,
    ) {
        let kept = self.0.take().filter(Kept::is_of_use).unwrap_or_else(|| {
            let stand = Box::leak(Box::new(Stand {
                is_in_use: AtomicBool::new(false),
                claim: AtomicU32::new(FREE),
                enlisted_in: Cell::new(0),
                value: UnsafeCell::new(value),
            }));
            let stand = NonNull::from(stand);
            Kept { stand, place, all }
        });
        place.with(|place| place.0.set(Some(kept.stand)));
        self.0.set(Some(kept));
    }
}

impl<T: Tidy> Drop for Keeper<T> {
    fn drop(&mut self) {
        let Some(Kept { stand, place, all }) = self.0.take() else {
            return;
        };
        place.with(|place| place.0.set(None));
        // SAFETY: nobody but this keeper frees it.
        let kept = unsafe { stand.as_ref() };
        // In a child that has not called yet the list's lock may be held for ever; but there the list does not count any more.
        if kept.enlisted_in.get() == fork::generation_if_entered() {
            All::of(all).0.lock().retain(|one| one.0 != stand);
        }
        // One that is in use for ever (in a thread-local that ends later) stays, and so does what was half tidied at a fork.
        if !kept.is_in_use.load(Relaxed) && kept.claim.load(Acquire) != TAKEN {
            // SAFETY: off the list and out of its place, so nobody finds it any more.
            drop(unsafe { Box::from_raw(stand.as_ptr()) });
        }
    }
}

struct Listed<T>(NonNull<Stand<T>>);

// SAFETY: see the module: the value is one thread's at a time, and `Tidy` asks for Send.
unsafe impl<T: Tidy> Send for Listed<T> {}

/// The values of all threads of a process.
pub(crate) struct All<T>(Mutex<Vec<Listed<T>>>);

impl<T: Tidy> All<T> {
    fn of(all: &PerGeneration<Self>) -> &Self {
        all.get_or_make(|_| Self(Mutex::new(Vec::new())), drop)
    }

    /// Each is tidied: here, or by its thread before that does anything else with it. Where the kernel has no barrier the other threads'
    /// stay as they are.
    pub(crate) fn tidy(all: &PerGeneration<Self>) {
        let list = Self::of(all).0.lock();
        // SAFETY: what is on the list is not freed before it is off it, which takes the lock.
        let stands = || list.iter().map(|one| unsafe { one.0.as_ref() });
        let mut taken: Vec<_> = stands().filter(|one| one.moves(FREE, TAKEN)).collect();
        while !taken.is_empty() {
            if !membarrier::in_all_threads() {
                return taken.iter().for_each(|one| one.claim.store(FREE, Release));
            }
            taken.retain(|one| !one.tidy_if_left());
            taken.iter().for_each(|one| one.claim.store(ASKED, Release));
            if !taken.is_empty() && !membarrier::in_all_threads() {
                return;
            }
            // One that had left before it was asked may have come again: it is taken anew.
            taken.retain(|one| !one.is_in_use.load(Acquire) && one.moves(ASKED, TAKEN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::sync::mpsc;

    /// Counted by its thread and by those who tidy; a count that is lost shows that both had it at once.
    #[derive(Default)]
    struct Counts {
        uses: u64,
        tidied: u64,
        both: u64,
    }

    impl Counts {
        /// Takes its time, so that whoever has it meanwhile is noticed.
        fn count_both(&mut self) {
            let before = black_box(self.both);
            (0..100).for_each(|_| std::hint::spin_loop());
            self.both = black_box(before + 1);
        }
    }

    impl Tidy for Counts {
        fn tidy(&mut self) {
            self.tidied += 1;
            self.count_both();
        }
    }

    static ALL: PerGeneration<All<Counts>> = PerGeneration::empty();

    thread_local! {
        static PLACE: Place<Counts> = const { Place::new() };
        static KEEPER: Keeper<Counts> = const { Keeper::new() };
    }

    fn begin() {
        fork::enter(|_| {});
        KEEPER.with(|keeper| keeper.keep(Counts::default(), &PLACE, &ALL));
        here(&PLACE).expect("nobody tidies").enlist(&ALL);
    }

    #[test]
    fn it_is_one_threads_at_a_time_and_each_is_tidied() {
        const TIDIES: u64 = 2000;
        let (ready, is_ready) = mpsc::channel();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (finish, finished) = mpsc::channel::<()>();
            let begun = ready.clone();
            let asleep = scope.spawn(move || {
                begin();
                begun.send(()).expect("heard");
                finished.recv().expect_err("hung up");
                here(&PLACE).expect("nobody tidies").tidied
            });
            let busy: Vec<_> = (0..3)
                .map(|_| {
                    let ready = ready.clone();
                    let is_over = &is_over;
                    scope.spawn(move || {
                        begin();
                        ready.send(()).expect("heard");
                        let mut uses = 0;
                        while !is_over.load(Relaxed) {
                            if let Some(mut counts) = here(&PLACE) {
                                uses += 1;
                                counts.uses += 1;
                                counts.count_both();
                            }
                            (0..100).for_each(|_| std::hint::spin_loop());
                        }
                        let counts = here(&PLACE).expect("nobody tidies");
                        assert_eq!(counts.uses, uses);
                        assert_eq!(counts.both, counts.uses + counts.tidied);
                        counts.tidied
                    })
                })
                .collect();
            (0..4).for_each(|_| is_ready.recv().expect("begun"));
            (0..TIDIES).for_each(|_| All::tidy(&ALL));
            is_over.store(true, Relaxed);
            drop(finish);
            assert_eq!(asleep.join().expect("no panic"), TIDIES);
            for one in busy {
                // One that was still asked does not do it twice.
                let tidied = one.join().expect("no panic");
                assert!(tidied > 0 && tidied <= TIDIES, "{tidied}");
            }
        });
        assert!(
            All::of(&ALL).0.lock().is_empty(),
            "those that ended are off the list"
        );
    }

    #[test]
    fn whoever_is_in_use_is_tidied_when_it_leaves() {
        static OWN: PerGeneration<All<Counts>> = PerGeneration::empty();
        begin();
        let counts = here(&PLACE).expect("nobody tidies");
        counts.stand().enlisted_in.set(0);
        counts.enlist(&OWN);
        All::tidy(&OWN);
        All::tidy(&OWN);
        assert_eq!(counts.tidied, 0);
        assert!(here(&PLACE).is_none());
        drop(counts);
        assert_eq!(here(&PLACE).expect("nobody tidies").tidied, 1);
        OWN.get_or_make(|_| unreachable!(), drop).0.lock().clear();
    }
}
