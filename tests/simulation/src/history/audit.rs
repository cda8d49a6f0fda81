//! What the history's own books say, to be compared with what the library does.

use std::ffi::{c_void, CString};

use super::driver::Session;
use crate::world::tasks::Sleep;
use crate::world::{self, violated, World};

#[derive(Default)]
pub(crate) struct Audit {
    /// How often each user data was freed.
    freed: Vec<u32>,
    /// What went away with a detached connection.
    kept: Vec<bool>,
    /// The most that `max_conns` ever allowed; 0: no limit.
    pub(crate) most_conns: u32,
    pub(crate) borrows: u64,
    /// Threads that have asked for a connection, and whom they ask.
    pub(crate) asking: Vec<Asking>,
    /// Waits that a later dial seems to have overtaken.
    pub(crate) overtaken: Vec<Sleep>,
    /// Events: dials begun, dials ended, waits begun, waits ended.
    pub(crate) events: [u64; 4],
    pub(crate) sessions: Vec<Session>,
    pub(crate) pools_made: u32,
    /// `free_user` has run so often.
    pub(crate) users_freed: u32,
    /// When the last pool was closed.
    pub(crate) closed_at: u64,
}

impl Audit {
    /// A limit was set; 0: none.
    pub(crate) fn allow(&mut self, max_conns: u32) {
        let is_unlimited = max_conns == 0 || self.most_conns == 0;
        self.most_conns = if is_unlimited {
            0
        } else {
            self.most_conns.max(max_conns)
        };
    }
}

/// A blocking dial that any connection of the destination answers.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) task: usize,
    pub(crate) pool: usize,
    pub(crate) address: CString,
}

impl World {
    /// The dials that sleep in the queue of a destination.
    pub(crate) fn waiting_for(&self, pool: usize, address: &CString) -> Vec<Sleep> {
        let asking = self.audit.asking.iter();
        let theirs = asking.filter(|one| one.pool == pool && one.address == *address);
        theirs
            .filter_map(|one| self.tasks.sleep_of(one.task, QUEUE))
            .collect()
    }

    /// All threads sleep. Who was answered when a later dial was, has been woken by now.
    pub(crate) fn check_overtaken(&mut self) {
        let overtaken = std::mem::take(&mut self.audit.overtaken);
        if overtaken.into_iter().any(|one| self.tasks.goes_on(one)) {
            violated("a dial is served before one that has waited since before it began");
        }
    }
}

/// On a futex sleeps who waits for a connection, and nobody else inside a dial.
const QUEUE: &str = "a futex";

/// A pointer for a connection's user data.
pub(crate) fn new_data() -> *mut c_void {
    world::with(|world| {
        world.audit.freed.push(0);
        world.audit.kept.push(false);
        // Never dereferenced, and never NULL.
        world.audit.freed.len() as *mut c_void
    })
}

/// The program has detached the connection: the data is the program's.
pub(crate) fn keep_data(data: *mut c_void) {
    if !data.is_null() {
        world::with(|world| world.audit.kept[data as usize - 1] = true);
    }
}

/// The library's `free_data`.
pub(crate) unsafe extern "C" fn free_data(data: *mut c_void) {
    let times = world::with(|world| {
        let times = &mut world.audit.freed[data as usize - 1];
        *times += 1;
        *times
    });
    if times > 1 {
        violated("a user data is freed twice");
    }
}

/// At the end.
pub(crate) fn check_data() {
    let is_lost = world::with(|world| {
        let mut both = world.audit.freed.iter().zip(&world.audit.kept);
        both.any(|(&times, &is_kept)| (times == 0) != is_kept)
    });
    if is_lost {
        violated("a user data is not freed, or freed after a detach");
    }
}
