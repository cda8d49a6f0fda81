//! Chance, which is the history's.

use crate::world;

pub(crate) fn draw() -> u64 {
    world::with(|world| world.random.next())
}
