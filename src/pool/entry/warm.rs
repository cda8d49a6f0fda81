//! Connections dialed ahead of need.
#![forbid(unsafe_code)]

use crate::pool::{BorrowOptions, Pool};
use crate::sync::Arc;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};

impl Pool {
    /// Dials until `wanted` connections are idle, nothing being closed for them; how many are.
    /// Fails if none is.
    pub(crate) fn warm(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        wanted: u32,
        options: &BorrowOptions,
    ) -> Result<u32> {
        let mut result = options.may_begin();
        // No more: a server that accepts and closes would never let it end.
        for _ in 0..wanted {
            match result.and_then(|()| self.warm_one(destination, wanted, options)) {
                Ok(true) => result = options.may_go_on(),
                Ok(false) => {
                    result = Ok(());
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let idle = self.locked().idle_of(destination);
        match result {
            Err(error) if idle == 0 => Err(error.of(format_args!("warm {destination}"))),
            _ => Ok(idle),
        }
    }

    /// One more; false if there are enough.
    fn warm_one(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        wanted: u32,
        options: &BorrowOptions,
    ) -> Result<bool> {
        let right = self.change(|state, now, _| {
            self.reserve_one(state)?;
            let right = state.take_for_idle(destination, wanted, now);
            right.map_err(Error::from)
        });
        let Some((right, destination)) = right? else {
            return Ok(false);
        };
        let conn = self.dial_ahead(right, destination, options)?;
        self.settle_in(conn);
        Ok(true)
    }
}
