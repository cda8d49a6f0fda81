//! Real threads, and jobs that hold them.
#![forbid(unsafe_code)]

use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Instant;

use super::*;

static LANES: [Lane; 2] = [Lane { kept: 1, most: 3 }, Lane { kept: 1, most: 3 }];
const FIRST: usize = 0;
const SECOND: usize = 1;
const SOON: Duration = Duration::from_secs(20);

/// Runs a job that says that it runs, and holds its thread until the sender is dropped.
fn hold(pool: &Arc<ThreadPool>, lane: usize) -> (Receiver<()>, Sender<()>) {
    let (began, begins) = channel();
    let (holder, held) = channel::<()>();
    let job = move || {
        let _ = began.send(());
        let _ = held.recv();
    };
    assert!(pool.submit(lane, Box::new(job)).is_ok());
    (begins, holder)
}

fn threads(pool: &ThreadPool) -> usize {
    pool.state.lock().threads
}

fn open_pool() -> Arc<ThreadPool> {
    let pool = ThreadPool::new(c"vcp-test", 3, &LANES);
    pool.open();
    pool
}

#[test]
fn jobs_that_hang_leave_a_thread_to_the_other_lane() {
    let pool = open_pool();
    let held: Vec<_> = (0..3).map(|_| hold(&pool, SECOND)).collect();
    held[..2].iter().for_each(|(begins, _)| {
        begins.recv_timeout(SOON).expect("two begin");
    });
    let (begins, holder) = hold(&pool, FIRST);
    begins.recv_timeout(SOON).expect("the first lane's begins");
    assert_eq!(threads(&pool), 3);
    assert!(held[2].0.try_recv().is_err());
    drop(holder);
    let mut held = held.into_iter();
    drop(held.next().map(|(_, holder)| holder));
    let third = held.nth(1).expect("three were held");
    third.0.recv_timeout(SOON).expect("its turn has come");
}

#[test]
fn the_standby_thread_takes_jobs_of_the_first_lane_only_and_stays() {
    let pool = open_pool();
    pool.start_standby().expect("a thread can be started");
    assert_eq!(threads(&pool), 1);
    let (begins, _holder) = hold(&pool, SECOND);
    begins.recv_timeout(SOON).expect("another thread runs it");
    assert_eq!(threads(&pool), 2);
    let (begins, _other) = hold(&pool, FIRST);
    begins.recv_timeout(SOON).expect("the standby runs it");
    assert_eq!(threads(&pool), 2);
}

/// It ended after a second: then nothing was there for what must not be lost, where the system
/// refused threads.
#[test]
fn the_standby_thread_stays_where_all_others_are_busy() {
    let pool = open_pool();
    pool.start_standby().expect("a thread can be started");
    let held: Vec<_> = (0..2).map(|_| hold(&pool, SECOND)).collect();
    held.iter().for_each(|(begins, _)| {
        begins.recv_timeout(SOON).expect("each begins");
    });
    let mut state = pool.state.lock();
    assert_eq!((state.threads, state.free()), (state.most, 1));
    let end = clock::now().after(IDLE_FOR * 2);
    while state.free() == 1 && clock::now() < end {
        let left = end.since(clock::now());
        state = pool.is_less_free.wait_for(state, left);
    }
    assert_eq!(state.free(), 1);
}

#[test]
fn a_thread_that_has_a_job_to_begin_is_no_standby() {
    let pool = open_pool();
    let (begins, holder) = hold(&pool, SECOND);
    begins.recv_timeout(SOON).expect("a thread runs it");
    drop(holder);
    while pool.state.lock().free() == 0 {
        std::thread::yield_now();
    }
    let (began, begins) = channel();
    let job = move || {
        let _ = began.send(());
    };
    let mut state = pool.state.lock();
    assert!(pool.push(&mut state, SECOND, Box::new(job)).is_none());
    pool.add_standby_holder(&mut state)
        .expect("a thread can be started");
    assert_eq!(state.threads, 2);
    drop(state);
    begins.recv_timeout(SOON).expect("the job runs");
}

#[test]
fn a_job_that_panics_takes_no_thread_with_it() {
    let pool = open_pool();
    let panics = || std::panic::resume_unwind(Box::new("a planted bug"));
    assert!(pool.submit(FIRST, Box::new(panics)).is_ok());
    let (begins, _holder) = hold(&pool, FIRST);
    begins.recv_timeout(SOON).expect("the next one runs");
    // The thread of the first may still be on its way out of the panic.
    let end = Instant::now() + SOON;
    while pool.state.lock().jobs.running() > 1 {
        assert!(
            Instant::now() < end,
            "the first one still counts as running"
        );
        std::thread::yield_now();
    }
    assert_eq!(pool.state.lock().jobs.running(), 1);
}

#[test]
fn closed_it_has_no_thread_without_a_job() {
    let pool = open_pool();
    pool.start_standby().expect("a thread can be started");
    let (begins, holder) = hold(&pool, SECOND);
    begins.recv_timeout(SOON).expect("it begins");
    pool.end_standby();
    pool.close();
    assert_eq!(threads(&pool), 1);
    drop(holder);
    while threads(&pool) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn the_standby_thread_outlives_the_close_while_it_is_needed() {
    let pool = open_pool();
    pool.start_standby().expect("a thread can be started");
    pool.close();
    assert_eq!(threads(&pool), 1);
    let (begins, holder) = hold(&pool, FIRST);
    begins.recv_timeout(SOON).expect("the standby runs it");
    assert_eq!(threads(&pool), 1);
    drop(holder);
    pool.end_standby();
    while threads(&pool) > 0 {
        std::thread::yield_now();
    }
}
