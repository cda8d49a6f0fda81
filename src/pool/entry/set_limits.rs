//! vcp_pool_set_limits: other limits, and other times to keep connections for, in a living pool.
#![forbid(unsafe_code)]

use crate::pool::Pool;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::Arc;
use crate::values::options::Adjustable;

impl Pool {
    /// At once and as a whole: what is read without the lock is written under it, too.
    pub(crate) fn set_limits(self: &Arc<Self>, new: &Adjustable) {
        let (limits, keeping) = (new.limits.clone(), new.keeping.clone());
        if keeping.min_idle_per_address > 0 {
            // Without the engine nothing is dialed ahead, and the limits hold all the same.
            let _ = self.engine();
        }
        self.change_in_parts(|state, now, effects| {
            self.settings.set(new);
            let idle_ms = self.fast_path_idle_ms_with(&new.keeping);
            self.fast_path_idle_ms.store(idle_ms, Relaxed);
            state.set_limits(limits, keeping, now, effects)
        });
    }
}
