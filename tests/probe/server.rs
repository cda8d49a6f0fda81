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
    /// Each is longer than the buffer of the program.
    Long,
    /// All; and each new connection makes it send bytes to the older ones, which nobody asked for.
    Chatty,
    /// The connection is closed after its first answer.
    OneForEachConnection,
    /// The connection is closed when its second request has come.
    OneThenNone,
    /// The same, and every second connection is closed without an answer when a request has come.
    OneForEverySecondConnection,
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
        Self::start_for(usize::MAX, answers)
    }

    /// It is gone when it has accepted so many.
    pub(crate) fn start_for(connections: usize, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            let mut older = Vec::new();
            for stream in listener.incoming().take(connections) {
                let stream = stream.expect("a connection can be accepted");
                // Bytes behind an answer do not wait until that is acknowledged.
                stream.set_nodelay(true).expect("an option can be set");
                if matches!(answers, Answers::Chatty) {
                    chat(&mut older);
                    older.push(stream.try_clone().expect("a descriptor can be copied"));
                }
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

/// Those whose client has hung up hear nothing.
fn chat(older: &mut [TcpStream]) {
    for stream in older {
        let _ = stream.write_all(b"and more");
    }
}

fn answer(answers: Answers) -> Vec<u8> {
    let mut bytes = match answers {
        Answers::Long => vec![b'.'; 200_000],
        _ => Vec::new(),
    };
    bytes.extend_from_slice(b"+PONG\r\n");
    bytes
}

/// Until the client hangs up.
fn serve(mut stream: TcpStream, answers: Answers, number: u64, counts: &Counts) {
    let mut request = [0; 6];
    for past in 0.. {
        if stream.read_exact(&mut request).is_err() {
            return;
        }
        counts.requests.fetch_add(1, SeqCst);
        assert_eq!(&request, b"PING\r\n");
        match answers {
            Answers::OnlyOnTheFirst(some) if number >= some => return,
            Answers::OneForEverySecondConnection if number % 2 == 1 => return,
            Answers::OneThenNone if past > 0 => return,
            Answers::OnlyOnTheFirstThenSilent(some) if number >= some => continue,
            _ => counts.answered.fetch_add(1, SeqCst),
        };
        if stream.write_all(&answer(answers)).is_err() {
            return;
        }
        if matches!(
            answers,
            Answers::OneForEachConnection | Answers::OneForEverySecondConnection
        ) {
            return;
        }
    }
}
