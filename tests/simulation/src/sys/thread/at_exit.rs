//! What a simulated thread does when it ends.

use crate::world::tasks;

/// Has `action` run with `argument` when this thread ends.
pub(super) fn at_exit(action: fn(*const ()), argument: *const ()) -> bool {
    tasks::at_exit(action, argument);
    true
}
