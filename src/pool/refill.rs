//! Connections dialed in the background, so that some are idle when they are wanted.
#![forbid(unsafe_code)]

use super::conn::Conn;
use super::process::process;
use super::shelf::Held;
use super::state::answer::Want;
use super::{Ask, Mode, Pool};
use crate::handle::Owned;
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::address::Destination;
use crate::values::clock::Deadline;

impl Pool {
    /// A borrower has got it: some more like it are to be idle.
    pub(super) fn note_wanted(self: &Arc<Self>, conn: &Owned<Conn>) {
        if self.options.keeping.min_idle_per_address == 0 {
            return;
        }
        // Without the engine nothing is dialed ahead, and the borrower has what it needs.
        let _ = self.engine();
        let id = conn.destination_id();
        self.change(|state, now, _| state.note_wanted(id, now));
    }

    /// On helper threads: a dial may block.
    pub(super) fn refill(self: &Arc<Self>, short: Vec<Arc<Destination>>) {
        for destination in short {
            let pool = self.clone();
            let named = destination.clone();
            let job = Box::new(move || {
                pool.gate.within(|| pool.refill_one(&named));
            });
            if process().dialers.try_run(job).is_err() {
                self.change(|state, now, _| state.refill_failed(&destination, now));
            }
        }
    }

    fn refill_one(self: &Arc<Self>, destination: &Arc<Destination>) {
        loop {
            let right = self.change(|state, now, _| state.take_to_refill(destination, now));
            let Some((right, named)) = right else {
                return;
            };
            match self.dial_ahead(right, named, &self.ask_of_nobody()) {
                Ok(conn) => {
                    self.settle_in(conn);
                }
                Err(_) => {
                    self.change(|state, now, _| state.refill_failed(destination, now));
                    return;
                }
            }
        }
    }

    pub(super) fn ask_of_nobody(&self) -> Ask {
        Ask {
            want: Want::Any,
            deadline: Deadline::from_timeout(clock::now(), self.options.dial.timeout_ms),
            wait_until: None,
            is_late: false,
            is_patient: true,
            token: None,
            claim: None,
            label: None,
            mode: Mode::AsThePool,
        }
    }
}
