//! Pools that are written in Rust, as contestants of `benches/c/bench.h` and `benches/c/crowd.h`: "vconnpool-peers ADDRESS
//! WAY-PEER AMOUNT", with AMOUNT connections, or destinations.
//!
//! `pools` makes them and `connects` counts what they connect; `cycle`, `team`, `destinations` and `crowd` are the ways. r2d2 blocks;
//! the others are asynchronous, and tasks take a connection each. None of them checks what it hands out.

mod connects;
mod crowd;
mod cycle;
mod destinations;
mod pools;
mod runs;
mod team;

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::connects::Connects;

/// Threads, or tasks on as many, that work at a time.
const MEMBERS: usize = 8;

/// What a peer is made with.
struct Place {
    runtime: Runtime,
    connects: Arc<Connects>,
    amount: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, variant, amount] = &arguments[..] else {
        panic!("usage: vconnpool-peers ADDRESS WAY-PEER AMOUNT");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(MEMBERS)
        .enable_all()
        .build();
    let place = Place {
        runtime: runtime.expect("a runtime"),
        connects: Arc::new(Connects::to(address)),
        amount: amount.parse().expect("AMOUNT"),
    };
    let way = variant.split_once('-').expect("WAY-PEER");
    match way {
        ("crowd", "deadpool") => crowd::of_tasks(&place, pools::deadpool(&place)),
        ("crowd", "bb8") => crowd::of_tasks(&place, pools::bb8(&place)),
        ("crowd", "r2d2") => crowd::of_threads(&pools::r2d2(&place)),
        ("cycle", "deadpool") => cycle::asynchronous(&place, &pools::deadpool(&place)),
        ("cycle", "unmanaged") => cycle::asynchronous(&place, &pools::unmanaged(&place)),
        ("cycle", "unmanaged_at_once") => cycle::at_once(&place, &pools::unmanaged(&place)),
        ("cycle", "bb8") => cycle::asynchronous(&place, &pools::bb8(&place)),
        ("cycle", "r2d2") => cycle::blocking(&place, &pools::r2d2(&place)),
        ("cycle", "pingora") => cycle::pingora(&place),
        ("team", "deadpool") => team::of_tasks(&place, pools::deadpool(&place)),
        ("team", "bb8") => team::of_tasks(&place, pools::bb8(&place)),
        ("team", "r2d2") => team::of_threads(&place, &pools::r2d2(&place)),
        ("destinations", "unmanaged") => destinations::asynchronous(&place),
        ("destinations", "unmanaged_at_once") => destinations::at_once(&place),
        _ => panic!("no such variant: {variant}"),
    }
}
