//! fork: what a child makes of its parent's pools and connections.
//!
//! A pool keeps its handle, its options and its callbacks; everything else it has anew, made by the
//! child's first call on it. Its parent's part is never locked, changed or dropped, so nothing of
//! the program's is freed in the child. Connections end: their descriptors are copies, which are
//! closed without a word to the peer.
#![forbid(unsafe_code)]

use crate::dial::race::connecting_socket;
use crate::handle::{fd_owners, Inherited, Kept};
use crate::pool::callbacks::Callbacks;
use crate::pool::conn::Conn;
use crate::pool::{Pool, PoolHandle};
use crate::sync::Arc;
use crate::sys::fork::per_process::PerProcess;
use crate::sys::socket;
use crate::values::options::Options;

impl PoolHandle {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self(PerProcess::of(pool))
    }

    /// This process's pool.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        self.0.get_or_make(
            |inherited| {
                let Some(inherited) = inherited else {
                    unreachable!("a pool is listed with a value");
                };
                let is_its = |conn: &Conn| Arc::ptr_eq(conn.pool(), inherited);
                Conn::table().take_inherited(is_its, Conn::close_copy);
                inherited.renewed()
            },
            |lost| lost.close(),
        )
    }
}

impl Pool {
    /// An empty pool with the same options.
    fn renewed(&self) -> Arc<Self> {
        let callbacks = Callbacks {
            dial: self.dialer.callbacks.clone(),
            observer: self.observer.clone(),
            hooks: self.hooks.clone(),
            user: self.user.clone(),
        };
        let options = Options {
            adjustable: self.settings.get(),
            ..self.options.clone()
        };
        let pool = Self::new(options, callbacks);
        if self.is_closed() {
            // Drained.
            pool.end();
        }
        pool
    }
}

impl Conn {
    /// Closes the child's copy of the descriptor, unless the number stands for something else by
    /// now.
    fn close_copy(&self) {
        if let (false, Some(was)) = (fd_owners::is_owned(self.raw_fd()), self.identity()) {
            socket::close_inherited(self.raw_fd(), was);
        }
    }
}

/// Closes the copy that was borrowed under this handle in the parent; the handle is closed already.
pub(crate) fn close_copy_of_lent(handle: usize) {
    if let Some(conn) = Conn::table().take_lent(handle) {
        conn.close_copy();
    }
}

/// The child's first call, before anybody else looks.
pub(crate) fn adopt(epoch: u32) {
    fd_owners::disown_all();
    connecting_socket::close_inherited(epoch);
    PoolHandle::table().adopt(epoch, Inherited::Lives);
    Conn::table().adopt(epoch, Inherited::Ends);
    // Nobody can call a closed pool, so what it was about to close is closed now.
    let is_orphan = |conn: &Conn| conn.pool().is_closed();
    Conn::table().take_inherited(is_orphan, Conn::close_copy);
}
