//! The crowd of `benches/c/crowd.h` over pools that are written in Rust: "vconnpool-peers ADDRESS deadpool|bb8|r2d2".
//!
//! r2d2 has a thread for each of the crowd; the other two are asynchronous and have a task for each, on as many threads. None of
//! them checks what it hands out.

use std::future::Future;
use std::io::{self, BufRead, Read, Write};
use std::ops::DerefMut;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const CROWD: usize = 8;
const CONNS: u32 = 2;
const ECHO_SIZE: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(60);

type Address = Arc<str>;
/// Of one of the crowd, in nanoseconds.
type Waits = Vec<u64>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, variant] = &arguments[..] else {
        panic!("usage: vconnpool-peers ADDRESS VARIANT");
    };
    let address: Address = address.as_str().into();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CROWD)
        .enable_all()
        .build()
        .expect("a runtime");
    match variant.as_str() {
        "deadpool" => {
            let peer = Arc::new(deadpool(address));
            answer_crowds(|time| tasks(&runtime, &peer, time));
        }
        "bb8" => {
            let peer = Arc::new(runtime.block_on(bb8(address)));
            answer_crowds(|time| tasks(&runtime, &peer, time));
        }
        "r2d2" => {
            let peer = r2d2(address);
            answer_crowds(|time| threads(&peer, time));
        }
        _ => panic!("no such variant: {variant}"),
    }
}

fn answer_crowds(run_for: impl Fn(Duration) -> Vec<Waits>) {
    for line in io::stdin().lock().lines() {
        let line = line.expect("standard input");
        let time = line.strip_prefix("run ").expect("run MS");
        let time = Duration::from_millis(time.parse().expect("run MS"));
        println!("{}", report(run_for(time)));
        io::stdout().flush().expect("standard output");
    }
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

// Threads.

fn threads(pool: &r2d2::Pool<Blocking>, time: Duration) -> Vec<Waits> {
    let is_over = AtomicBool::new(false);
    let start = Barrier::new(CROWD + 1);
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
        let crowd: Vec<_> = (0..CROWD).map(|_| scope.spawn(take_part)).collect();
        start.wait();
        thread::sleep(time);
        is_over.store(true, Relaxed);
        let ended = crowd.into_iter().map(|one| one.join().expect("no panic"));
        ended.collect()
    })
}

struct Blocking(Address);

impl r2d2::ManageConnection for Blocking {
    type Connection = std::net::TcpStream;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Self::Connection> {
        std::net::TcpStream::connect(&*self.0)
    }

    fn is_valid(&self, _: &mut Self::Connection) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Self::Connection) -> bool {
        false
    }
}

fn r2d2(address: Address) -> r2d2::Pool<Blocking> {
    r2d2::Pool::builder()
        .max_size(CONNS)
        .test_on_check_out(false)
        .connection_timeout(LONGEST_WAIT)
        .build(Blocking(address))
        .expect("r2d2")
}

// Tasks.

/// A pool of asynchronous connections.
trait Peer: Send + Sync + 'static {
    type Held: DerefMut<Target = TcpStream> + Send;
    fn take(&self) -> impl Future<Output = Self::Held> + Send;
}

fn tasks<P: Peer>(runtime: &Runtime, peer: &Arc<P>, time: Duration) -> Vec<Waits> {
    let is_over = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let start = Arc::new(tokio::sync::Barrier::new(CROWD + 1));
        let take_part = || take_part(peer.clone(), start.clone(), is_over.clone());
        let crowd: Vec<_> = (0..CROWD).map(|_| tokio::spawn(take_part())).collect();
        start.wait().await;
        tokio::time::sleep(time).await;
        is_over.store(true, Relaxed);
        let mut waits = Vec::new();
        for one in crowd {
            waits.push(one.await.expect("no panic"));
        }
        waits
    })
}

async fn take_part<P: Peer>(
    peer: Arc<P>,
    start: Arc<tokio::sync::Barrier>,
    is_over: Arc<AtomicBool>,
) -> Waits {
    let mut waits = Vec::new();
    start.wait().await;
    while !is_over.load(Relaxed) {
        let asked = Instant::now();
        let mut held = peer.take().await;
        waits.push(nanos(asked));
        let mut bytes = [0; ECHO_SIZE];
        held.write_all(&bytes).await.expect("write");
        held.read_exact(&mut bytes).await.expect("read");
    }
    waits
}

struct Asynchronous(Address);

impl deadpool::managed::Manager for Asynchronous {
    type Type = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> io::Result<TcpStream> {
        TcpStream::connect(&*self.0).await
    }

    async fn recycle(
        &self,
        _: &mut TcpStream,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<io::Error> {
        Ok(())
    }
}

fn deadpool(address: Address) -> deadpool::managed::Pool<Asynchronous> {
    deadpool::managed::Pool::builder(Asynchronous(address))
        .max_size(CONNS as usize)
        .build()
        .expect("deadpool")
}

impl Peer for deadpool::managed::Pool<Asynchronous> {
    type Held = deadpool::managed::Object<Asynchronous>;

    async fn take(&self) -> Self::Held {
        self.get().await.expect("deadpool")
    }
}

impl bb8::ManageConnection for Asynchronous {
    type Connection = TcpStream;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(&*self.0).await
    }

    async fn is_valid(&self, _: &mut TcpStream) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut TcpStream) -> bool {
        false
    }
}

async fn bb8(address: Address) -> bb8::Pool<Asynchronous> {
    bb8::Pool::builder()
        .max_size(CONNS)
        .test_on_check_out(false)
        .connection_timeout(LONGEST_WAIT)
        .build(Asynchronous(address))
        .await
        .expect("bb8")
}

impl Peer for bb8::Pool<Asynchronous> {
    type Held = bb8::PooledConnection<'static, Asynchronous>;

    async fn take(&self) -> Self::Held {
        self.get_owned().await.expect("bb8")
    }
}
