//! Telling an event before what it frees is free: see `state::untold`.
//!
//! While on_event runs, its thread remembers what waits for it. A callback that borrows from the
//! pool has been told, so its borrow frees that first: it must not wait for itself.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use crate::pool::conn::follow_up::FollowUp;
use crate::pool::Pool;
use crate::sync::Arc;

thread_local! {
    /// What waits for the events that this thread is telling, the innermost last.
    static WAITING: RefCell<Vec<(Arc<Pool>, FollowUp)>> = const { RefCell::new(Vec::new()) };
}

/// Frees what waits for the events that this thread is telling, if it is inside on_event.
pub(crate) fn free_what_is_being_told() {
    while let Ok(Some((pool, then))) = WAITING.try_with(|waiting| waiting.borrow_mut().pop()) {
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
        let depth = WAITING.try_with(|waiting| {
            let mut waiting = waiting.borrow_mut();
            waiting.extend(then.take().map(|then| (self.clone(), then)));
            waiting.len()
        });
        tell();
        if let Ok(depth) = depth {
            let own = WAITING.try_with(|waiting| {
                let mut waiting = waiting.borrow_mut();
                (waiting.len() == depth).then(|| waiting.pop()).flatten()
            });
            then = own.ok().flatten().map(|(_, then)| then);
        }
        // `None`: a borrow of the callback has freed it.
        if let Some(then) = then {
            self.follow(then);
        }
    }
}
