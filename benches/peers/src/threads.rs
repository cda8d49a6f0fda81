//! The cycle, by threads or tasks that share the cycles of a run (`benches/c/threads.h`).

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::pools::{Maker, Peer};
use crate::protocol::answer_hits;
use crate::setup::{Setup, WORKERS};

pub(crate) fn of_threads(setup: &Setup, pool: &r2d2::Pool<Maker>) {
    let cycles = |count| (0..count).for_each(|_| drop(pool.get().expect("r2d2")));
    answer_hits(&setup.connector, |count| together(count, cycles));
}

pub(crate) fn of_tasks<P: Peer>(setup: &Setup, pool: P) {
    let pool = Arc::new(pool);
    answer_hits(&setup.connector, |count| {
        setup.runtime.block_on(tasks(pool.clone(), count))
    });
}

/// From the first one's start to the last one's end, as they saw it: who starts them is no longer
/// awake first.
fn together(count: u64, cycles: impl Fn(u64) + Sync) -> Duration {
    let start = Barrier::new(WORKERS);
    let work = |worker| {
        start.wait();
        let began = Instant::now();
        cycles(share(count, worker));
        (began, Instant::now())
    };
    let work = &work;
    thread::scope(|scope| {
        let start = |worker| scope.spawn(move || work(worker));
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        let ended = workers.into_iter().map(|one| one.join().expect("no panic"));
        let (began, ended): (Vec<_>, Vec<_>) = ended.unzip();
        let last = ended.into_iter().max().expect("workers");
        last - began.into_iter().min().expect("workers")
    })
}

async fn tasks<P: Peer>(pool: Arc<P>, count: u64) -> Duration {
    let began = Instant::now();
    let work = |worker| {
        let pool = pool.clone();
        async move {
            for _ in 0..share(count, worker) {
                drop(pool.take().await);
            }
        }
    };
    let workers: Vec<_> = (0..WORKERS).map(|one| tokio::spawn(work(one))).collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
    began.elapsed()
}

fn share(count: u64, worker: usize) -> u64 {
    (count + worker as u64) / WORKERS as u64
}
