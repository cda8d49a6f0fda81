//! What the history's own books say, to be compared with what the library does.

use std::ffi::c_void;

use crate::world::{self, violated};

#[derive(Default)]
pub(crate) struct Audit {
    /// How often each user data was freed.
    freed: Vec<u32>,
    /// What went away with a detached connection.
    kept: Vec<bool>,
    /// The most that `max_conns` ever allowed; 0: no limit.
    pub(crate) most_conns: u32,
    pub(crate) borrows: u64,
    /// When the last pool was closed.
    pub(crate) closed_at: u64,
}

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
