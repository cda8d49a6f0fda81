//! Who competes: programs, and each one's variants under the names that the tables print.

use crate::subject::{Amount, Found, Over, Package, Program, Subject};

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

const fn program(name: &'static str, with: &'static [&'static str], over: Over) -> Program {
    Program { name, with, over }
}

const CYCLE: Program = program("cycle_vconnpool", &["threads"], Over::Libvconnpool);
const CYCLE_RESLIST: Program = program("cycle_apr_reslist", &["reslist", "threads"], APR);
const PEERS: Program = program("vconnpool-peers", &[], Over::Crates);

impl Program {
    /// With one connection, unless more is said.
    const fn as_one(self, label: &'static str, variant: &'static str) -> Subject {
        Subject {
            label,
            program: self,
            variant,
            amount: Amount::Of(1),
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
pub(super) const WATCH_100: Subject = CYCLE.as_one("libvconnpool, 100 idle", "watch").with(100);
pub(super) const WATCH_MANY: Subject = CYCLE
    .as_one("libvconnpool, 10,000 idle", "watch")
    .with(MANY);
pub(super) const RESLIST: Subject = CYCLE_RESLIST.as_one("apr_reslist", "expiring");
pub(super) const RESLIST_FOR_EVER: Subject =
    CYCLE_RESLIST.as_one("apr_reslist without expiry", "for-ever");
pub(super) const POCO_POOL: Subject =
    program("cycle_poco", &[], POCO).as_one("Poco::ObjectPool", "keyless");
pub(super) const CURL_REQUEST: Subject = program("cycle_libcurl", &[], CURL).as_one(
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
    program("peek_plain", &[], Over::Nothing).as_one("bare recv(MSG_PEEK | MSG_DONTWAIT)", "plain");

// The cycle, by a threads.

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

const DESTINATIONS: Program = program(
    "destinations_vconnpool",
    &["destinations"],
    Over::Libvconnpool,
);
const LOOKUP: Program = program("destinations_plain", &["destinations"], Over::Nothing);
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

const MEMORY: Program = program("memory_vconnpool", &["destinations"], Over::Libvconnpool);
const IDLE: Program = program("idle_vconnpool", &["destinations"], Over::Libvconnpool);
pub(super) const MEMORY_ONE: Subject = MEMORY.as_one("in one destination", "one").with(MANY);
pub(super) const MEMORY_MANY: Subject = MEMORY.as_one("in as many destinations", "many").with(MANY);
pub(super) const IDLE_ONE: Subject = IDLE.as_one("in one destination", "one").with(MANY);
pub(super) const IDLE_MANY: Subject = IDLE.as_one("in as many destinations", "many").with(MANY);

// Echoes and dials.

const ECHO: Program = program("echo_vconnpool", &[], Over::Libvconnpool);
pub(super) const ECHO_WATCH: Subject = ECHO.as_one("libvconnpool, WATCH", "watch");
pub(super) const ECHO_STRICT: Subject = ECHO.as_one("libvconnpool, STRICT", "strict");
pub(super) const ECHO_KEPT: Subject =
    program("echo_plain", &[], Over::Nothing).as_one("C, a kept socket", "kept");

const DIAL: Program = program("dial_vconnpool", &[], Over::Libvconnpool);
const DIAL_PLAIN: Program = program("dial_plain", &[], Over::Nothing);
pub(super) const DIAL_CALLS: Subject =
    DIAL.as_one("libvconnpool, vcp_conn_write and _read", "calls");
pub(super) const DIAL_DESCRIPTOR: Subject =
    DIAL.as_one("libvconnpool, write and read", "descriptor");
pub(super) const DIAL_BARE: Subject = DIAL_PLAIN.as_one("C", "bare");
pub(super) const DIAL_OPTIONS: Subject =
    DIAL_PLAIN.as_one("C, with the library's socket options", "options");
pub(super) const DIAL_SYSTEM_CALLS: Subject =
    DIAL_PLAIN.as_one("C, with all of the library's system calls", "calls");

const RESTART: Program = program("restart_vconnpool", &[], Over::Libvconnpool);
pub(super) const RESTART_BORROW: Subject =
    RESTART.as_one("first borrow, 500 dead ones idle", "borrow");
pub(super) const RESTART_FRESH: Subject = RESTART.as_one("fresh dial, nothing idle", "fresh");

// The contention.

pub(super) const CONTENTION_STRICT: Subject =
    program("contention_vconnpool", &["contention"], Over::Libvconnpool)
        .as_one("libvconnpool, STRICT", "strict")
        .with(FEW);
pub(super) const CONTENTION_BARE: Subject =
    program("contention_plain", &["contention"], Over::Nothing)
        .as_one("a bare list of futexes", "futex")
        .with(FEW);
pub(super) const CONTENTION_RESLIST: Subject =
    program("contention_apr_reslist", &["contention", "reslist"], APR)
        .as_one("apr_reslist", "waiting")
        .with(FEW);
pub(super) const CONTENTION_DEADPOOL: Subject =
    PEERS.as_one("deadpool", "contention-deadpool").with(FEW);
pub(super) const CONTENTION_BB8: Subject = PEERS.as_one("bb8", "contention-bb8").with(FEW);
pub(super) const CONTENTION_R2D2: Subject = PEERS.as_one("r2d2", "contention-r2d2").with(FEW);
