//! fork(2): which process this is, and what each process makes for itself.

mod epoch;
pub(crate) mod per_process;

pub(crate) use self::epoch::*;
