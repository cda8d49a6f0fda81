//! The cycle over many destinations with one idle connection each, visited at random
//! (`benches/c/destinations.h`). No Rust pool of connections has keys: a program keeps a map of
//! pools.

use std::cell::Cell;
use std::collections::HashMap;

use tokio::net::TcpStream;

use crate::pools::Unmanaged;
use crate::protocol::{answer_hits, time_of};
use crate::setup::Setup;

/// As many as the C programs draw.
const VISITS: usize = 1 << 16;

struct Destinations {
    texts: Vec<String>,
    visits: Vec<u16>,
    next: Cell<usize>,
}

type Map = HashMap<String, Unmanaged>;

pub(crate) fn asynchronous(setup: &Setup) {
    let destinations = Destinations::of(setup);
    let map = &destinations.connected(setup);
    let destinations = &destinations;
    let cycles = |count| async move {
        for _ in 0..count {
            drop(map[destinations.next()].get().await.expect("deadpool"));
        }
    };
    answer_hits(&setup.connector, |count| {
        time_of(|| setup.runtime.block_on(cycles(count)))
    });
}

/// By the call that does not wait.
pub(crate) fn at_once(setup: &Setup) {
    let destinations = Destinations::of(setup);
    let map = destinations.connected(setup);
    let cycle = || drop(map[destinations.next()].try_get().expect("deadpool"));
    let cycles = |count| (0..count).for_each(|_| cycle());
    answer_hits(&setup.connector, |count| time_of(|| cycles(count)));
}

impl Destinations {
    fn of(setup: &Setup) -> Self {
        let port = setup.connector.port();
        let text = |one| format!("127.1.{}.{}:{port}", one >> 8, one & 255);
        let mut state = 88_172_645_463_325_252;
        let draw = |_| (xorshift(&mut state) % setup.amount as u64) as u16;
        Self {
            texts: (0..setup.amount).map(text).collect(),
            visits: (0..VISITS).map(draw).collect(),
            next: Cell::new(0),
        }
    }

    fn next(&self) -> &str {
        let next = self.next.get();
        self.next.set(next + 1);
        &self.texts[usize::from(self.visits[next % VISITS])]
    }

    fn connected(&self, setup: &Setup) -> Map {
        let _reactor = setup.runtime.enter();
        let pool_of = |text: &String| {
            let conn = setup.connector.connect_to(text).expect("connect");
            conn.set_nonblocking(true).expect("fcntl");
            let conn = TcpStream::from_std(conn).expect("a reactor");
            (text.clone(), Unmanaged::from(vec![conn]))
        };
        self.texts.iter().map(pool_of).collect()
    }
}

/// xorshift64 (Marsaglia, 2003), as in the C programs.
fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
