//! The cycle: a connection is taken and given back, by one thread.

use deadpool::unmanaged::Object;
use pingora_pool::{ConnectionMeta, ConnectionPool};

use crate::pools::{Maker, Peer, Unmanaged};
use crate::protocol::{answer_hits, time_of};
use crate::setup::Setup;

/// pingora-pool names destinations and connections by numbers.
const KEY: u64 = 1;
const ID: i32 = 1;

pub(crate) fn asynchronous<P: Peer>(setup: &Setup, pool: &P) {
    let cycles = |count| async move {
        for _ in 0..count {
            drop(pool.take().await);
        }
    };
    answer_hits(&setup.connector, |count| {
        time_of(|| setup.runtime.block_on(cycles(count)))
    });
}

pub(crate) fn blocking(setup: &Setup, pool: &r2d2::Pool<Maker>) {
    let cycles = |count| (0..count).for_each(|_| drop(pool.get().expect("r2d2")));
    answer_hits(&setup.connector, |count| time_of(|| cycles(count)));
}

/// By the call that does not wait.
pub(crate) fn at_once(setup: &Setup, pool: &Unmanaged) {
    let take = || -> Object<_> { pool.try_get().expect("deadpool") };
    let cycles = |count| (0..count).for_each(|_| drop(take()));
    answer_hits(&setup.connector, |count| time_of(|| cycles(count)));
}

/// Without the task that pingora starts for each connection that it puts back, to watch it while it
/// is idle: the pool alone.
pub(crate) fn pingora(setup: &Setup) {
    let pool = ConnectionPool::new(setup.amount);
    let meta = ConnectionMeta::new(KEY, ID);
    pool.put(&meta, setup.connector.connect().expect("connect"));
    let cycle = || {
        let conn = pool.get(&KEY).expect("an idle one");
        pool.put(&meta, conn);
    };
    let cycles = |count| (0..count).for_each(|_| cycle());
    answer_hits(&setup.connector, |count| time_of(|| cycles(count)));
}
