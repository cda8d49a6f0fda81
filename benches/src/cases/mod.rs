//! All cases and their bars.

mod counts;
mod subjects;
mod times;

use crate::case::Case;

/// In the order in which they are run.
pub(crate) const CASES: &[Case] = &[
    times::ONE_THREAD,
    times::ONE_THREAD_STRICT,
    times::THREADS,
    times::CONTENTION,
    times::DESTINATIONS,
    counts::MEMORY,
    times::ECHO,
    times::DIAL,
    times::RESTART,
    counts::IDLE,
    counts::INSTRUCTIONS,
    counts::SYSTEM_CALLS,
    counts::SIZE,
    times::MORE_IDLE,
    times::MORE_DESTINATIONS,
];
