//! The right to open one connection, as a value: whatever goes wrong, dropping it gives the right back.
#![forbid(unsafe_code)]

use super::conn::{self, Conn};
use super::state::answer::DialRight;
use super::stats::Cause;
use super::Pool;
use crate::handle::Owned;
use crate::sync::Arc;
use crate::values::error::{Error, Result};

/// See the module. Made when the state has answered `Take::Dial`.
#[derive(Debug)]
pub(crate) struct Permit {
    pool: Arc<Pool>,
    right: DialRight,
    is_open: bool,
}

impl Permit {
    pub(crate) fn new(pool: Arc<Pool>, right: DialRight) -> Self {
        Self {
            pool,
            right,
            is_open: true,
        }
    }

    pub(crate) fn right(&self) -> DialRight {
        self.right
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The dial succeeded: from now on the connection is what counts. Fails if the pool was closed meanwhile.
    pub(crate) fn used_for(mut self, conn: Owned<Conn>) -> Result<Owned<Conn>> {
        self.is_open = false;
        let (pool, right) = (self.pool.clone(), self.right);
        let dialed = pool.change(|state, now, effects| state.dialed(right, &conn, now, effects));
        match dialed {
            Ok(()) => Ok(conn),
            Err(refusal) => {
                conn::close(conn, Cause::PoolClosed);
                Err(refusal.into())
            }
        }
    }

    /// The dial failed, and the destination is to blame.
    pub(crate) fn failed(mut self, error: &Error) {
        self.is_open = false;
        self.end(Some(error));
    }

    fn end(&self, blame: Option<&Error>) {
        let right = self.right;
        self.pool
            .change(|state, now, effects| state.dial_failed(right, blame, now, effects));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_open {
            self.end(None);
        }
    }
}
