//! on_idle: idle connections that the program is asked about, on helper threads.
#![forbid(unsafe_code)]

use crate::handle::{Kept, Owned, SlotId};
use crate::pool::callbacks::Hook;
use crate::pool::conn::{Conn, FAILED};
use crate::pool::lend::hooks::HookVerdict;
use crate::pool::lend::sessions::refresh_if_replaced;
use crate::pool::runtime::runtime;
use crate::pool::state::held::NOWHERE;
use crate::pool::state::idle_checks::Check;
use crate::pool::{Mode, Pool};
use crate::sync::Arc;
use crate::sys::clock;
use crate::thread_pool::helpers::HelperLane;
use crate::values::clock::Time;

impl Pool {
    /// Starts so many checkers, which the state has counted.
    pub(crate) fn start_checkers(self: &Arc<Self>, checkers: usize) {
        for _ in 0..checkers {
            let pool = self.clone();
            let job = move || {
                let began = clock::now();
                while pool.check_next(began) {}
            };
            let submitted = runtime().helpers.submit(HelperLane::Check, Box::new(job));
            if submitted.is_err() {
                self.change(|state, now, _| state.stop_checker(now));
            }
        }
    }

    /// Asks about the next one that was due when the checker began; false if there is none.
    fn check_next(self: &Arc<Self>, began: Time) -> bool {
        // on_idle has forked, and this is the child.
        if self.is_inherited() {
            return false;
        }
        // By the clock that the engine goes by. That of a change is up to a tick behind, and by it
        // the two would send each other back and forth until the tick.
        let now = clock::now();
        let next =
            self.change_in_background(|state, _, effects| state.take_check(began, now, effects));
        if let Some((conn, check)) = next {
            self.check(conn, check);
            return true;
        }
        false
    }

    fn check(self: &Arc<Self>, conn: Owned<Conn>, check: Check) {
        conn.begin_check(clock::now_coarse().nanos());
        // The last borrower may have had another mode, and have reconnected a session.
        let is_ready =
            self.set_mode(&conn, Mode::AsThePool).is_ok() && refresh_if_replaced(&conn).is_ok();
        let asked = if self.gate.is_open() && is_ready {
            self.run_own_hook(Hook::Idle, conn)
        } else {
            Some((conn, HookVerdict::Keep))
        };
        let Some((conn, verdict)) = asked else {
            return;
        };
        let verdict = match conn.has(FAILED) {
            // Whatever it says: a read or write of its own has failed.
            true => HookVerdict::Refuse,
            false => verdict,
        };
        let disposition = self.disposition_after_hook(&conn, verdict);
        self.watch(&conn);
        let slot = conn.slot_id();
        self.change_in_background(|state, now, effects| {
            state.end_check(conn, check, disposition, now, effects);
        });
        self.arm_again(slot);
    }

    /// What the hook has read has disarmed the watch for bytes.
    fn arm_again(&self, slot: SlotId) {
        let is_unarmed = Conn::table()
            .pin_slot(slot)
            .is_some_and(|conn| conn.node() != NOWHERE && conn.is_unarmed());
        if is_unarmed {
            self.arm(slot);
        }
    }
}
