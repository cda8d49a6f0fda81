//! Connections that become the program's own: `detach` and `get`.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::handle::Owned;
use crate::pool::conn::{self, Conn};
use crate::pool::state::answer::{Forgotten, Refusal};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::transition::close_conn;
use crate::pool::Pool;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result, Status};

impl Pool {
    /// A borrowed connection becomes the program's own.
    pub(crate) fn detach(&self, conn: Owned<Conn>) -> RawFd {
        self.forget(&conn, Forgotten::Detached);
        close_conn::release(conn)
    }

    fn forget(&self, conn: &Owned<Conn>, how: Forgotten) {
        let id = conn.destination_id();
        self.end_loan(conn);
        self.change(|state, now, effects| state.forget(id, conn, how, now, effects));
    }

    /// Gives an idle connection's descriptor away.
    pub(crate) fn get(&self, destination: &Destination) -> Result<RawFd> {
        let no_data = |conn: &Owned<Conn>| !conn.has(conn::HAS_DATA);
        if self.is_closed() {
            return Err(Error::from(Refusal::PoolClosed).of(format_args!("get {destination}")));
        }
        loop {
            let taken = self
                .change(|state, now, effects| state.take_idle(destination, no_data, now, effects));
            let Some(conn) = taken else {
                return Err(Error::new(
                    Status::NotAvailable,
                    format!("get {destination}: no idle connection"),
                ));
            };
            let cause = match conn.find_unfit() {
                None if conn.set_mode(self.options.nonblocking).is_ok() => {
                    self.forget(&conn, Forgotten::Got);
                    return Ok(close_conn::release(conn));
                }
                None => CloseCause::StaleAtBorrow,
                Some(cause) => cause,
            };
            self.reject(conn, cause);
        }
    }
}
