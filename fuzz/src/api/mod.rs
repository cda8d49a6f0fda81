//! Sequences of calls, written as bytes: a byte names a call, those after it its arguments.
//!
//! One thread calls; the library's own threads work beside it. Servers are unix sockets of this
//! process, so nothing needs a sleep, and every wait is a few milliseconds long at most. After each
//! call the answer must be one that the header knows, no descriptor may have two owners and no
//! limit may be passed; at the end nothing may be left out.

mod callbacks;
mod calls;
mod dials;
mod servers;
mod world;

use crate::bytes::Bytes;
use crate::leaks;
use world::World;

/// Longer inputs find nothing that these do not.
const MOST_CALLS: usize = 100;

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(&mut bytes);
    for _ in 0..MOST_CALLS {
        let Some(call) = bytes.next() else {
            break;
        };
        calls::make(&mut world, call, &mut bytes);
        world.check();
    }
    world.end();
    leaks::check();
}
