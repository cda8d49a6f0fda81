//! Telling an event before what it frees is free: see `state::untold`.
//!
//! While on_event runs, its thread remembers what waits for it. A callback that borrows from the
//! pool has been told, so its borrow frees that first: it must not wait for itself.
#![forbid(unsafe_code)]

use crate::pool::conn::follow_up::FollowUp;
use crate::pool::Pool;
use crate::sync::Arc;
use crate::sys::thread::cell::{borrow, borrow_or_fill, ThreadCell};

/// What waits for an event, and in which pool.
type Waiting = Vec<(Arc<Pool>, FollowUp)>;

thread_local! {
    /// What waits for the events that this thread is telling, the innermost last.
    static WAITING: ThreadCell<Waiting> = const { ThreadCell::new() };
}

/// Frees what waits for the events that this thread is telling, if it is inside on_event.
pub(crate) fn free_what_is_being_told() {
    while let Some((pool, then)) = borrow(&WAITING).and_then(|mut waiting| waiting.pop()) {
        pool.follow(then);
    }
}

impl Pool {
    /// Tells an event by `tell`, and then frees what it makes possible.
    pub(crate) fn tell_then(self: &Arc<Self>, then: Option<FollowUp>, tell: impl FnOnce()) {
        let Some(then) = then else {
            return tell();
        };
        let mut then = Some(then);
        let depth = borrow_or_fill(&WAITING, Waiting::new()).map(|mut waiting| {
            waiting.extend(then.take().map(|then| (self.clone(), then)));
            waiting.len()
        });
        tell();
        if let Some(depth) = depth {
            let own = borrow(&WAITING).and_then(|mut waiting| {
                let is_there = waiting.len() == depth;
                is_there.then(|| waiting.pop()).flatten()
            });
            then = own.map(|(_, then)| then);
        }
        // `None`: a borrow of the callback has freed it.
        if let Some(then) = then {
            self.follow(then);
        }
    }
}
