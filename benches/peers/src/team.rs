//! The cycle, by threads or tasks that share the cycles of a run (`benches/c/team.h`).

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::pools::{Maker, Peer};
use crate::runs::answer_hits;
use crate::{Place, MEMBERS};

pub(crate) fn of_threads(place: &Place, pool: &r2d2::Pool<Maker>) {
    let cycles = |count| (0..count).for_each(|_| drop(pool.get().expect("r2d2")));
    answer_hits(&place.connects, |count| together(count, cycles));
}

pub(crate) fn of_tasks<P: Peer>(place: &Place, pool: P) {
    let pool = Arc::new(pool);
    answer_hits(&place.connects, |count| {
        place.runtime.block_on(tasks(pool.clone(), count))
    });
}

/// From the first one's start to the last one's end, as they saw it: who starts them is no longer awake first.
fn together(count: u64, cycles: impl Fn(u64) + Sync) -> Duration {
    let start = Barrier::new(MEMBERS);
    let work = |member| {
        start.wait();
        let began = Instant::now();
        cycles(share(count, member));
        (began, Instant::now())
    };
    let work = &work;
    thread::scope(|scope| {
        let start = |member| scope.spawn(move || work(member));
        let members: Vec<_> = (0..MEMBERS).map(start).collect();
        let ended = members.into_iter().map(|one| one.join().expect("no panic"));
        let (began, ended): (Vec<_>, Vec<_>) = ended.unzip();
        let last = ended.into_iter().max().expect("members");
        last - began.into_iter().min().expect("members")
    })
}

async fn tasks<P: Peer>(pool: Arc<P>, count: u64) -> Duration {
    let began = Instant::now();
    let work = |member| {
        let pool = pool.clone();
        async move {
            for _ in 0..share(count, member) {
                drop(pool.take().await);
            }
        }
    };
    let members: Vec<_> = (0..MEMBERS).map(|one| tokio::spawn(work(one))).collect();
    for member in members {
        member.await.expect("no panic");
    }
    began.elapsed()
}

fn share(count: u64, member: usize) -> u64 {
    (count + member as u64) / MEMBERS as u64
}
