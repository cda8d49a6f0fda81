//! Pools that are written in Rust, as contestants of `benches/c/bench.h` and
//! `benches/c/contention.h`: "vconnpool-peers ADDRESS WAY-PEER AMOUNT", with AMOUNT connections, or
//! destinations.
//!
//! `pools` makes them and `connector` counts what they connect; `cycle`, `threads`, `destinations`
//! and `contention` are the ways. r2d2 blocks; the others are asynchronous, and tasks take a
//! connection each. None of them checks what it hands out.

mod connector;
mod contention;
mod cycle;
mod destinations;
mod pools;
mod protocol;
mod setup;
mod threads;

use crate::setup::Setup;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, variant, amount] = &arguments[..] else {
        panic!("usage: vconnpool-peers ADDRESS WAY-PEER AMOUNT");
    };
    let setup = Setup::new(address, amount);
    let way = variant.split_once('-').expect("WAY-PEER");
    match way {
        ("contention", "deadpool") => contention::of_tasks(&setup, pools::deadpool(&setup)),
        ("contention", "bb8") => contention::of_tasks(&setup, pools::bb8(&setup)),
        ("contention", "r2d2") => contention::of_threads(&pools::r2d2(&setup)),
        ("cycle", "deadpool") => cycle::asynchronous(&setup, &pools::deadpool(&setup)),
        ("cycle", "unmanaged") => cycle::asynchronous(&setup, &pools::unmanaged(&setup)),
        ("cycle", "unmanaged_at_once") => cycle::at_once(&setup, &pools::unmanaged(&setup)),
        ("cycle", "bb8") => cycle::asynchronous(&setup, &pools::bb8(&setup)),
        ("cycle", "r2d2") => cycle::blocking(&setup, &pools::r2d2(&setup)),
        ("cycle", "pingora") => cycle::pingora(&setup),
        ("threads", "deadpool") => threads::of_tasks(&setup, pools::deadpool(&setup)),
        ("threads", "bb8") => threads::of_tasks(&setup, pools::bb8(&setup)),
        ("threads", "r2d2") => threads::of_threads(&setup, &pools::r2d2(&setup)),
        ("destinations", "unmanaged") => destinations::asynchronous(&setup),
        ("destinations", "unmanaged_at_once") => destinations::at_once(&setup),
        _ => panic!("no such variant: {variant}"),
    }
}
