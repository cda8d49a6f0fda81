//! A server that answers `PING\r\n` with `+PONG\r\n`, and counts.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Which requests get an answer.
#[derive(Clone, Copy)]
pub(crate) enum Answers {
    All,
    /// The connection is closed after its first answer.
    OneForEachConnection,
    /// Those on the first so many connections; others are closed when a request has come.
    OnlyOnTheFirst(u64),
    /// Those on the first so many connections; others stay open and silent.
    OnlyOnTheFirstThenSilent(u64),
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    requests: AtomicU64,
    answered: AtomicU64,
}

/// It lives as long as this process.
pub(crate) struct Server {
    pub(crate) address: String,
    counts: Arc<Counts>,
}

impl Server {
    pub(crate) fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection can be accepted");
                let number = shared.accepted.fetch_add(1, SeqCst);
                let counts = Arc::clone(&shared);
                thread::spawn(move || serve(stream, answers, number, &counts));
            }
        });
        Self { address, counts }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.counts.answered.load(SeqCst)
    }

    /// Connections that a client made may still stand in the queue of accept(2).
    pub(crate) fn await_accepted(&self, wanted: u64) {
        await_count(&self.counts.accepted, wanted);
        assert_eq!(self.counts.accepted.load(SeqCst), wanted);
    }

    pub(crate) fn await_requests(&self, wanted: u64) {
        await_count(&self.counts.requests, wanted);
    }
}

fn await_count(count: &AtomicU64, wanted: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    while count.load(SeqCst) < wanted {
        let seen = count.load(SeqCst);
        assert!(Instant::now() < end, "{seen} of {wanted} came");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Until the client hangs up.
fn serve(mut stream: TcpStream, answers: Answers, number: u64, counts: &Counts) {
    let mut request = [0; 6];
    while stream.read_exact(&mut request).is_ok() {
        counts.requests.fetch_add(1, SeqCst);
        assert_eq!(&request, b"PING\r\n");
        match answers {
            Answers::OnlyOnTheFirst(some) if number >= some => return,
            Answers::OnlyOnTheFirstThenSilent(some) if number >= some => continue,
            _ => counts.answered.fetch_add(1, SeqCst),
        };
        if stream.write_all(b"+PONG\r\n").is_err() {
            return;
        }
        if matches!(answers, Answers::OneForEachConnection) {
            return;
        }
    }
}
