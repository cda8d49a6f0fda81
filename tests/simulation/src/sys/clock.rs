//! Virtual time.

use crate::values::clock::Time;
use crate::world;

/// A tick of the coarse clock, as with CONFIG_HZ=250.
const TICK: u64 = 4_000_000;

pub(crate) fn now() -> Time {
    Time::from_nanos(world::with(|world| world.now))
}

pub(crate) fn now_coarse() -> Time {
    Time::from_nanos(world::with(|world| world.now / TICK * TICK))
}
