//! getaddrinfo(3) over the world.

use std::net::SocketAddr;

pub(crate) use crate::real_sys::getaddrinfo::{says_no_such_name, ResolveFailure, EAI_ADDRFAMILY};
use crate::world::{step, tasks, with};

pub(crate) fn resolve(host: &str) -> Result<Vec<SocketAddr>, ResolveFailure> {
    step();
    let (until, answer) = with(|world| {
        let name = world.look_up(host);
        (world.now + name.takes, name.answer)
    });
    // What nobody wakes.
    tasks::sleep_on(&[], Some(until), "getaddrinfo");
    answer.map_err(ResolveFailure::new)
}
