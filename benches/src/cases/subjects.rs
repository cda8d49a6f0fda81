//! Who competes: programs, and each one's variants under the names that the tables print.

use crate::subject::{Amount, Found, Library, Over, Package, Program, Subject};

/// So many threads or tasks, and connections for each, where all of them have one (`c/threads.h`).
const THREADS: u32 = 8;
/// So few are fought for.
const FEW: u32 = 2;
pub(super) const MANY: u32 = 10_000;

const APR: Over = Over::Package(Package {
    debian: "libaprutil1-dev",
    found: Found::ByPkgConfig(&["apr-1", "apr-util-1"]),
});
const CURL: Over = Over::Package(Package {
    debian: "libcurl4-openssl-dev",
    found: Found::ByPkgConfig(&["libcurl"]),
});
const POCO: Over = Over::Package(Package {
    debian: "libpoco-dev",
    found: Found::ByHeader("Poco/ObjectPool.h", &["-lPocoFoundation", "-lstdc++"]),
});

/// A program over the shipped library.
const fn ours(name: &'static str) -> Program {
    let over = Over::Libvconnpool;
    Program { name, over }
}

/// A program without any library.
const fn plain(name: &'static str) -> Program {
    let over = Over::Nothing;
    Program { name, over }
}

/// A program over a peer.
const fn peer(name: &'static str, over: Over) -> Program {
    Program { name, over }
}

const CYCLE: Program = ours("cycle_vconnpool");
const CYCLE_RESLIST: Program = peer("cycle_apr_reslist", APR);
const PEERS: Program = peer("vconnpool-peers", Over::Crates);

impl Program {
    /// With one connection, unless more is said.
    const fn as_one(self, label: &'static str, variant: &'static str) -> Subject {
        Subject {
            label,
            program: self,
            variant,
            amount: Amount::Of(1),
            library: Library::Tested,
            is_new: false,
        }
    }
}

impl Subject {
    const fn with(self, amount: u32) -> Self {
        Self {
            amount: Amount::Of(amount),
            ..self
        }
    }

    const fn with_all(self) -> Self {
        Self {
            amount: Amount::Descriptors,
            ..self
        }
    }
}

// The cycle, by one thread.

pub(super) const WATCH: Subject = CYCLE.as_one("libvconnpool, WATCH", "watch");
pub(super) const STRICT: Subject = CYCLE.as_one("libvconnpool, STRICT", "strict");
pub(super) const SESSION: Subject = CYCLE
    .as_one("libvconnpool, a driver's session", "session")
    .new_here();
pub(super) const WATCH_100: Subject = CYCLE.as_one("libvconnpool, 100 idle", "watch").with(100);
pub(super) const WATCH_MANY: Subject = CYCLE
    .as_one("libvconnpool, 10,000 idle", "watch")
    .with(MANY);
pub(super) const RESLIST: Subject = CYCLE_RESLIST.as_one("apr_reslist", "expiring");
pub(super) const RESLIST_FOR_EVER: Subject =
    CYCLE_RESLIST.as_one("apr_reslist without expiry", "for-ever");
pub(super) const POCO_POOL: Subject =
    peer("cycle_poco", POCO).as_one("Poco::ObjectPool", "keyless");
pub(super) const CURL_REQUEST: Subject = peer("cycle_libcurl", CURL).as_one(
    "libcurl: a request over its cache, less its bare I/O",
    "request",
);
pub(super) const R2D2: Subject = PEERS.as_one("r2d2", "cycle-r2d2");
pub(super) const DEADPOOL: Subject = PEERS.as_one("deadpool", "cycle-deadpool");
pub(super) const UNMANAGED: Subject = PEERS.as_one("deadpool unmanaged, get", "cycle-unmanaged");
pub(super) const UNMANAGED_AT_ONCE: Subject =
    PEERS.as_one("deadpool unmanaged, try_get", "cycle-unmanaged_at_once");
pub(super) const BB8: Subject = PEERS.as_one("bb8", "cycle-bb8");
pub(super) const PINGORA: Subject =
    PEERS.as_one("pingora-pool without its idle watch", "cycle-pingora");
pub(super) const PEEK: Subject =
    plain("peek_plain").as_one("bare recv(MSG_PEEK | MSG_DONTWAIT)", "plain");

// The cycle, by threads.

pub(super) const THREADS_WATCH: Subject = CYCLE
    .as_one("libvconnpool, 8 threads", "threads")
    .with(THREADS);
pub(super) const THREADS_RESLIST: Subject = CYCLE_RESLIST
    .as_one("apr_reslist, 8 threads", "threads")
    .with(THREADS);
pub(super) const THREADS_R2D2: Subject = PEERS
    .as_one("r2d2, 8 threads", "threads-r2d2")
    .with(THREADS);
pub(super) const THREADS_DEADPOOL: Subject = PEERS
    .as_one("deadpool, 8 tasks on 8 threads", "threads-deadpool")
    .with(THREADS);
pub(super) const THREADS_BB8: Subject = PEERS
    .as_one("bb8, 8 tasks on 8 threads", "threads-bb8")
    .with(THREADS);

// Many destinations.

const DESTINATIONS: Program = ours("destinations_vconnpool");
const LOOKUP: Program = plain("destinations_plain");
pub(super) const KEYED_10: Subject = DESTINATIONS
    .as_one("libvconnpool, 10 destinations", "watch")
    .with(10);
pub(super) const KEYED_1000: Subject = DESTINATIONS
    .as_one("libvconnpool, 1,000 destinations", "watch")
    .with(1_000);
pub(super) const KEYED_MANY: Subject = DESTINATIONS
    .as_one("libvconnpool, 10,000 destinations", "watch")
    .with(MANY);
pub(super) const KEYED_ALL: Subject = DESTINATIONS
    .as_one("libvconnpool, most destinations", "watch")
    .with_all();
pub(super) const LOOKUP_10: Subject = LOOKUP
    .as_one("bare lookup, 10 destinations", "map")
    .with(10);
pub(super) const LOOKUP_1000: Subject = LOOKUP
    .as_one("bare lookup, 1,000 destinations", "map")
    .with(1_000);
pub(super) const LOOKUP_MANY: Subject = LOOKUP
    .as_one("bare lookup, 10,000 destinations", "map")
    .with(MANY);
pub(super) const LOOKUP_ALL: Subject = LOOKUP
    .as_one("bare lookup, most destinations", "map")
    .with_all();
pub(super) const KEYED_UNMANAGED: Subject = PEERS
    .as_one(
        "HashMap of deadpool unmanaged, get",
        "destinations-unmanaged",
    )
    .with(MANY);
pub(super) const KEYED_UNMANAGED_AT_ONCE: Subject = PEERS
    .as_one(
        "HashMap of deadpool unmanaged, try_get",
        "destinations-unmanaged_at_once",
    )
    .with(MANY);

// What idle ones cost.

const MEMORY: Program = ours("memory_vconnpool");
const IDLE: Program = ours("idle_vconnpool");
pub(super) const MEMORY_ONE: Subject = MEMORY.as_one("in one destination", "one").with(MANY);
pub(super) const MEMORY_MANY: Subject = MEMORY.as_one("in as many destinations", "many").with(MANY);
pub(super) const IDLE_ONE: Subject = IDLE.as_one("in one destination", "one").with(MANY);
pub(super) const IDLE_MANY: Subject = IDLE.as_one("in as many destinations", "many").with(MANY);

// Echoes and dials.

const ECHO: Program = ours("echo_vconnpool");
pub(super) const ECHO_WATCH: Subject = ECHO.as_one("libvconnpool, WATCH", "watch");
pub(super) const ECHO_STRICT: Subject = ECHO.as_one("libvconnpool, STRICT", "strict");
pub(super) const ECHO_CALLS: Subject = ECHO.as_one(
    "libvconnpool, WATCH, by vcp_conn_write and _read",
    "watch-calls",
);
pub(super) const ECHO_WAITING: Subject = ours("waiting_vconnpool").as_one(
    "an echo by vcp_conn_write and _read whose answer is not there yet",
    "watch",
);
pub(super) const ECHO_KEPT: Subject = plain("echo_plain").as_one("C, a kept socket", "kept");

const DIAL: Program = ours("dial_vconnpool");
const DIAL_PLAIN: Program = plain("dial_plain");
pub(super) const DIAL_CALLS: Subject =
    DIAL.as_one("libvconnpool, vcp_conn_write and _read", "calls");
pub(super) const DIAL_DESCRIPTOR: Subject =
    DIAL.as_one("libvconnpool, write and read", "descriptor");
pub(super) const DIAL_BARE: Subject = DIAL_PLAIN.as_one("C", "bare");
pub(super) const DIAL_OPTIONS: Subject =
    DIAL_PLAIN.as_one("C, with the library's socket options", "options");
pub(super) const DIAL_SYSTEM_CALLS: Subject =
    DIAL_PLAIN.as_one("C, with all of the library's system calls", "calls");

// What others do does not concern those who hit.

const ELSEWHERE: Program = ours("elsewhere_vconnpool");
const FEW_ELSEWHERE: u32 = 10;
/// So many that the chances of a seeded hash even out, where instructions are counted.
const SOME_ELSEWHERE: u32 = 1_000;
const MANY_ELSEWHERE: u32 = 9_000;
pub(super) const REFUSED_FEW: Subject = ELSEWHERE
    .as_one("a dial refused at a limit, 10 idle elsewhere", "refused")
    .with(FEW_ELSEWHERE);
pub(super) const REFUSED_SOME: Subject = ELSEWHERE
    .as_one("a dial refused at a limit, 1,000 idle elsewhere", "refused")
    .with(SOME_ELSEWHERE);
pub(super) const REFUSED_MANY: Subject = ELSEWHERE
    .as_one("a dial refused at a limit, 9,000 idle elsewhere", "refused")
    .with(MANY_ELSEWHERE);
pub(super) const EVICTED_FEW: Subject = ELSEWHERE
    .as_one("evict of one address, 10 idle elsewhere", "evicted")
    .with(FEW_ELSEWHERE);
pub(super) const EVICTED_SOME: Subject = ELSEWHERE
    .as_one("evict of one address, 1,000 idle elsewhere", "evicted")
    .with(SOME_ELSEWHERE);
pub(super) const EVICTED_MANY: Subject = ELSEWHERE
    .as_one("evict of one address, 9,000 idle elsewhere", "evicted")
    .with(MANY_ELSEWHERE);
pub(super) const REFUSED_THEN_HIT: Subject = ELSEWHERE
    .as_one("a refused dial, and a hit elsewhere", "refused-hit")
    .with(SOME_ELSEWHERE);
pub(super) const EVICTED_THEN_HIT: Subject = ELSEWHERE
    .as_one("an evict, and a hit elsewhere", "evicted-hit")
    .with(SOME_ELSEWHERE);

const RESTART: Program = ours("restart_vconnpool");
pub(super) const RESTART_BORROW: Subject =
    RESTART.as_one("first borrow, 500 dead ones idle", "borrow");
pub(super) const RESTART_FRESH: Subject = RESTART.as_one("fresh dial, nothing idle", "fresh");

// Threads that wait for few connections.

pub(super) const CONTENTION_STRICT: Subject = ours("contention_vconnpool")
    .as_one("libvconnpool, STRICT", "strict")
    .with(FEW);
pub(super) const CONTENTION_BARE: Subject = plain("contention_plain")
    .as_one("a bare list of futexes", "futex")
    .with(FEW);
pub(super) const CONTENTION_RESLIST: Subject = peer("contention_apr_reslist", APR)
    .as_one("apr_reslist", "waiting")
    .with(FEW);
pub(super) const CONTENTION_DEADPOOL: Subject =
    PEERS.as_one("deadpool", "contention-deadpool").with(FEW);
pub(super) const CONTENTION_BB8: Subject = PEERS.as_one("bb8", "contention-bb8").with(FEW);
pub(super) const CONTENTION_R2D2: Subject = PEERS.as_one("r2d2", "contention-r2d2").with(FEW);
