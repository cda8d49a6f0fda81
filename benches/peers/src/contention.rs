//! Threads, or tasks on as many threads, that fight for few connections (`benches/c/contention.h`).

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pools::{Maker, Peer};
use crate::protocol;
use crate::setup::{Setup, WORKERS};

const ECHO_SIZE: usize = 64;

/// Of one thread or task, in nanoseconds.
type Waits = Vec<u64>;

pub(crate) fn of_threads(pool: &r2d2::Pool<Maker>) {
    protocol::answer(|time| report(threads(pool, Duration::from_millis(time))));
}

pub(crate) fn of_tasks<P: Peer>(setup: &Setup, pool: P) {
    let pool = Arc::new(pool);
    protocol::answer(|time| {
        let workers = tasks(pool.clone(), Duration::from_millis(time));
        report(setup.runtime.block_on(workers))
    });
}

fn report(mut waits: Vec<Waits>) -> String {
    let (mut p99, mut longest) = (0, 0);
    for one in &mut waits {
        one.sort_unstable();
        let Some(&last) = one.last() else { continue };
        p99 = p99.max(one[(one.len() - 1) * 99 / 100]);
        longest = longest.max(last);
    }
    let counts = || waits.iter().map(Vec::len);
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let sum: u64 = waits.iter().flatten().sum();
    let mean = sum / counts().sum::<usize>().max(1) as u64;
    format!("{least} {most} {p99} {longest} {mean}")
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).expect("a short wait")
}

fn threads(pool: &r2d2::Pool<Maker>, time: Duration) -> Vec<Waits> {
    let is_over = AtomicBool::new(false);
    let start = Barrier::new(WORKERS + 1);
    thread::scope(|scope| {
        let take_part = || {
            let mut waits = Vec::new();
            start.wait();
            while !is_over.load(Relaxed) {
                let asked = Instant::now();
                let mut held = pool.get().expect("r2d2");
                waits.push(nanos(asked));
                let mut bytes = [0; ECHO_SIZE];
                held.write_all(&bytes).expect("write");
                held.read_exact(&mut bytes).expect("read");
            }
            waits
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(take_part)).collect();
        start.wait();
        thread::sleep(time);
        is_over.store(true, Relaxed);
        let ended = workers.into_iter().map(|one| one.join().expect("no panic"));
        ended.collect()
    })
}

async fn tasks<P: Peer>(pool: Arc<P>, time: Duration) -> Vec<Waits> {
    let is_over = Arc::new(AtomicBool::new(false));
    let start = Arc::new(tokio::sync::Barrier::new(WORKERS + 1));
    let take_part = || take_part(pool.clone(), start.clone(), is_over.clone());
    let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(take_part())).collect();
    start.wait().await;
    tokio::time::sleep(time).await;
    is_over.store(true, Relaxed);
    let mut waits = Vec::new();
    for one in workers {
        waits.push(one.await.expect("no panic"));
    }
    waits
}

async fn take_part<P: Peer>(
    pool: Arc<P>,
    start: Arc<tokio::sync::Barrier>,
    is_over: Arc<AtomicBool>,
) -> Waits {
    let mut waits = Vec::new();
    start.wait().await;
    while !is_over.load(Relaxed) {
        let asked = Instant::now();
        let mut held = pool.take().await;
        waits.push(nanos(asked));
        let mut bytes = [0; ECHO_SIZE];
        held.write_all(&bytes).await.expect("write");
        held.read_exact(&mut bytes).await.expect("read");
    }
    waits
}
