//! Connections dialed in the background, so that some are idle when they are wanted.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::background::async_dial::AsyncDial;
use crate::pool::conn::Conn;
use crate::pool::state::answer::Reuse;
use crate::pool::state::held::Held;
use crate::pool::{BorrowOptions, Mode, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::clock::Deadline;
use crate::values::destination::Destination;

impl Pool {
    /// A borrower has got it: some more like it are to be idle.
    pub(crate) fn mark_wanted(self: &Arc<Self>, conn: &Owned<Conn>) {
        if self.settings.min_idle_per_address() == 0 {
            return;
        }
        // Without the engine nothing is dialed ahead, and the borrower has what it needs.
        let _ = self.engine();
        let id = conn.destination_id();
        self.change(|state, now, _| state.mark_wanted(id, now));
    }

    /// The engine dials: many destinations may be short, and those that do not answer cost no
    /// thread.
    pub(crate) fn refill(self: &Arc<Self>, short: Vec<Arc<Destination>>) {
        if short.is_empty() {
            return;
        }
        // Without one the pool has been closed.
        if let Some(engine) = self.engine_if_running() {
            for destination in short {
                AsyncDial::refill(&engine, self, destination);
            }
        }
    }

    pub(crate) fn background_options(&self) -> BorrowOptions {
        BorrowOptions {
            reuse: Reuse::Allowed,
            deadline: Deadline::from_timeout(clock::now(), self.options.dial.timeout),
            wait_until: None,
            is_late: false,
            blames_destination: true,
            token: None,
            reply: None,
            label: None,
            mode: Mode::AsThePool,
            found_unfit: 0,
        }
    }
}
