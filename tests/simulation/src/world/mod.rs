//! One history's kernel: threads, time, descriptors, the network and chance.
//!
//! All simulated threads are coroutines of one thread of the machine (shuttle's), so a world needs
//! no lock; it is reached by [`with`], inside which nothing switches.

mod chance_of_std;
pub(crate) mod descriptors;
pub(crate) mod files;
pub(crate) mod network;
pub(crate) mod planted;
pub(crate) mod random;
pub(crate) mod scheduler;
pub(crate) mod sockets;
pub(crate) mod statics;
pub(crate) mod tasks;
pub(crate) mod time;
pub(crate) mod trace;

use std::cell::{Cell, UnsafeCell};

use self::descriptors::Descriptors;
use self::files::Files;
use self::network::Network;
use self::random::Random;
use self::tasks::Tasks;
use self::time::Timeline;
use crate::history::audit::Audit;

/// The state of a simulated machine.
pub(crate) struct World {
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) tasks: Tasks,
    pub(crate) timeline: Timeline,
    pub(crate) descriptors: Descriptors,
    pub(crate) files: Files,
    pub(crate) network: Network,
    pub(crate) chances: Chances,
    /// Goes up at everything that the order of events is told by.
    pub(crate) moment: u64,
    /// How often all threads have slept at once.
    pub(crate) rests: u64,
    pub(crate) switches: u64,
    /// Time that passed while a thread could run.
    pub(crate) slipped: u64,
    /// The history's own books.
    pub(crate) audit: Audit,
    /// Dropped when the history ends.
    pub(crate) at_end: Vec<Box<dyn FnOnce()>>,
}

/// How likely what is; one in so many, 0: never.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chances {
    /// Operations on atomics and locks between two switches, on average.
    pub(crate) run_length: u32,
    /// At a switch, time passes though threads can run.
    pub(crate) slip: u32,
    /// A system call that can fail for want of a resource fails.
    pub(crate) fault: u32,
}

struct Place {
    world: UnsafeCell<Option<Box<World>>>,
    is_in_use: Cell<bool>,
    /// Operations until the next switch; never reached while no history runs.
    countdown: Cell<u32>,
}

// SAFETY: one thread of the machine runs all simulated threads.
unsafe impl Sync for Place {}

static PLACE: Place = Place {
    world: UnsafeCell::new(None),
    is_in_use: Cell::new(false),
    countdown: Cell::new(u32::MAX),
};

/// A history runs.
pub(crate) fn is_running() -> bool {
    // SAFETY: a look at the tag, by the one thread that there is.
    unsafe { (*PLACE.world.get()).is_some() }
}

/// Shows the world of the running history.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    assert!(!PLACE.is_in_use.replace(true), "the world is being used");
    // SAFETY: the flag says that no other reference lives.
    let world = unsafe { &mut *PLACE.world.get() };
    let result = f(world.as_mut().expect("a history runs"));
    PLACE.is_in_use.set(false);
    result
}

/// As [`with`], for the last words of a program that may have ended inside it.
fn look(f: impl FnOnce(&World)) {
    // SAFETY: nothing else runs any more.
    if let Some(world) = unsafe { &*PLACE.world.get() } {
        f(world);
    }
}

/// Begins a history.
pub(crate) fn begin(seed: u64, chances: Chances) {
    let world = World {
        now: time::BEGIN,
        random: Random::new(seed),
        tasks: Tasks::default(),
        timeline: Timeline::default(),
        descriptors: Descriptors::default(),
        files: Files::default(),
        network: Network::default(),
        chances,
        moment: 0,
        rests: 0,
        switches: 0,
        slipped: 0,
        audit: Audit::default(),
        at_end: Vec::new(),
    };
    // SAFETY: no history runs, so nothing refers to the old one.
    unsafe { *PLACE.world.get() = Some(Box::new(world)) };
    PLACE.countdown.set(1);
}

/// Ends it: what exists once in the process is dropped, and the statics are as they were.
pub(crate) fn end() {
    PLACE.countdown.set(u32::MAX);
    for drop_it in with(|world| std::mem::take(&mut world.at_end)) {
        drop_it();
    }
    statics::restore();
    // SAFETY: nothing refers to it: all simulated threads have ended.
    drop(unsafe { (*PLACE.world.get()).take() });
}

/// Another thread may run now: before each operation on what threads share.
#[inline(always)]
pub(crate) fn step() {
    let left = PLACE.countdown.get();
    if left > 1 {
        PLACE.countdown.set(left - 1);
    } else {
        switch();
    }
}

#[cold]
#[inline(never)]
fn switch() {
    tasks::switch();
    let next = with(|world| world.random.up_to(2 * world.chances.run_length) + 1);
    PLACE.countdown.set(next);
}

/// Ends the program: an invariant does not hold.
#[cold]
pub(crate) fn violated(what: &str) -> ! {
    trace::flush();
    println!("VIOLATED in history {}: {what}", crate::history::seed());
    println!(
        "replay: tests/simulation/run --seed {}",
        crate::history::seed()
    );
    std::process::exit(1);
}
