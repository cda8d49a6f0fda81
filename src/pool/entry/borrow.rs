//! Borrowing in the caller's thread: an idle connection that is fit, else a fresh dial, else a
//! wait.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::{Borrower, ParkedBorrower, WaitState};
use crate::pool::lend::hand_over::NotLent;
use crate::pool::state::answer::Take;
use crate::pool::transition::close_conn;
use crate::pool::{BorrowOptions, Pool};
use crate::sync::Arc;
use crate::sys::memory;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};

impl Pool {
    /// The one way to borrow: an idle connection that is fit, else a new one.
    pub(crate) fn borrow(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        options: &BorrowOptions,
    ) -> Result<Owned<Conn>> {
        let result = options
            .may_begin()
            .and_then(|()| self.borrow_from(destination, options))
            .and_then(|conn| self.unless_forked(conn));
        result.map_err(|error| error.of(format_args!("dial {destination}")))
    }

    /// A callback has forked, and this is the child.
    fn unless_forked(&self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        if let Err(error) = self.fail_if_inherited() {
            close_conn::discard(conn);
            return Err(error);
        }
        Ok(conn)
    }

    fn borrow_from(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        options: &BorrowOptions,
    ) -> Result<Owned<Conn>> {
        let mut wait_state = WaitState::of(options);
        let mut asleep = ParkedBorrower::new(Borrower {
            pool: self,
            options,
            destination,
            wait_state: &mut wait_state,
        });
        let mut taken = asleep.take()?;
        loop {
            let conn = match taken {
                Take::Dial(right, _) if memory::is_short() => {
                    // It may have waited for long, as many others may.
                    self.change(|state, now, effects| state.give_up(right, now, effects));
                    return Err(Error::no_memory());
                }
                Take::Dial(right, destination) => {
                    return self.dial(right, destination, &asleep.borrower);
                }
                Take::Reuse(conn) => conn,
                Take::Refused(refusal) => return Err(refusal.into()),
                Take::Wait => unreachable!("a parked borrower waits itself"),
            };
            match self.lend_reused(conn, options) {
                Ok(conn) => return Ok(conn),
                Err(NotLent::Unfit(conn, cause)) => taken = asleep.take_another(conn, cause)?,
                Err(NotLent::Failed(error)) => return Err(error),
            }
        }
    }
}
