//! Who competes: programs, and each one's variants under the names that the tables print.

use crate::program::{Amount, Contestant, Found, Over, Package, Program};

/// So many threads or tasks, and connections for each, where all of them have one (`c/team.h`).
const TEAM: u32 = 8;
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

const CYCLE: Program = program("cycle_vconnpool", &["team"], Over::Libvconnpool);
const CYCLE_RESLIST: Program = program("cycle_apr_reslist", &["reslist", "team"], APR);
const PEERS: Program = program("vconnpool-peers", &[], Over::Crates);

impl Program {
    /// With one connection, unless more is said.
    const fn as_one(self, label: &'static str, variant: &'static str) -> Contestant {
        Contestant {
            label,
            program: self,
            variant,
            amount: Amount::Of(1),
        }
    }
}

impl Contestant {
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

pub(super) const WATCH: Contestant = CYCLE.as_one("libvconnpool, WATCH", "watch");
pub(super) const STRICT: Contestant = CYCLE.as_one("libvconnpool, STRICT", "strict");
pub(super) const WATCH_100: Contestant = CYCLE.as_one("libvconnpool, 100 idle", "watch").with(100);
pub(super) const WATCH_MANY: Contestant = CYCLE
    .as_one("libvconnpool, 10,000 idle", "watch")
    .with(MANY);
pub(super) const RESLIST: Contestant = CYCLE_RESLIST.as_one("apr_reslist", "expiring");
pub(super) const RESLIST_FOR_EVER: Contestant =
    CYCLE_RESLIST.as_one("apr_reslist without expiry", "for-ever");
pub(super) const POCO_POOL: Contestant =
    program("cycle_poco", &[], POCO).as_one("Poco::ObjectPool", "keyless");
pub(super) const CURL_REQUEST: Contestant = program("cycle_libcurl", &[], CURL).as_one(
    "libcurl: a request over its cache, less its bare I/O",
    "request",
);
pub(super) const R2D2: Contestant = PEERS.as_one("r2d2", "cycle-r2d2");
pub(super) const DEADPOOL: Contestant = PEERS.as_one("deadpool", "cycle-deadpool");
pub(super) const UNMANAGED: Contestant = PEERS.as_one("deadpool unmanaged, get", "cycle-unmanaged");
pub(super) const UNMANAGED_AT_ONCE: Contestant =
    PEERS.as_one("deadpool unmanaged, try_get", "cycle-unmanaged_at_once");
pub(super) const BB8: Contestant = PEERS.as_one("bb8", "cycle-bb8");
pub(super) const PINGORA: Contestant =
    PEERS.as_one("pingora-pool without its idle watch", "cycle-pingora");
pub(super) const PEEK: Contestant =
    program("peek_plain", &[], Over::Nothing).as_one("bare recv(MSG_PEEK | MSG_DONTWAIT)", "plain");

// The cycle, by a team.

pub(super) const TEAM_WATCH: Contestant =
    CYCLE.as_one("libvconnpool, 8 threads", "team").with(TEAM);
pub(super) const TEAM_RESLIST: Contestant = CYCLE_RESLIST
    .as_one("apr_reslist, 8 threads", "team")
    .with(TEAM);
pub(super) const TEAM_R2D2: Contestant = PEERS.as_one("r2d2, 8 threads", "team-r2d2").with(TEAM);
pub(super) const TEAM_DEADPOOL: Contestant = PEERS
    .as_one("deadpool, 8 tasks on 8 threads", "team-deadpool")
    .with(TEAM);
pub(super) const TEAM_BB8: Contestant = PEERS
    .as_one("bb8, 8 tasks on 8 threads", "team-bb8")
    .with(TEAM);

// Many destinations.

const DESTINATIONS: Program = program(
    "destinations_vconnpool",
    &["destinations"],
    Over::Libvconnpool,
);
const LOOKUP: Program = program("destinations_plain", &["destinations"], Over::Nothing);
pub(super) const KEYED_10: Contestant = DESTINATIONS
    .as_one("libvconnpool, 10 destinations", "watch")
    .with(10);
pub(super) const KEYED_1000: Contestant = DESTINATIONS
    .as_one("libvconnpool, 1,000 destinations", "watch")
    .with(1_000);
pub(super) const KEYED_MANY: Contestant = DESTINATIONS
    .as_one("libvconnpool, 10,000 destinations", "watch")
    .with(MANY);
pub(super) const KEYED_ALL: Contestant = DESTINATIONS
    .as_one("libvconnpool, most destinations", "watch")
    .with_all();
pub(super) const LOOKUP_10: Contestant = LOOKUP
    .as_one("bare lookup, 10 destinations", "map")
    .with(10);
pub(super) const LOOKUP_1000: Contestant = LOOKUP
    .as_one("bare lookup, 1,000 destinations", "map")
    .with(1_000);
pub(super) const LOOKUP_MANY: Contestant = LOOKUP
    .as_one("bare lookup, 10,000 destinations", "map")
    .with(MANY);
pub(super) const LOOKUP_ALL: Contestant = LOOKUP
    .as_one("bare lookup, most destinations", "map")
    .with_all();
pub(super) const KEYED_UNMANAGED: Contestant = PEERS
    .as_one(
        "HashMap of deadpool unmanaged, get",
        "destinations-unmanaged",
    )
    .with(MANY);
pub(super) const KEYED_UNMANAGED_AT_ONCE: Contestant = PEERS
    .as_one(
        "HashMap of deadpool unmanaged, try_get",
        "destinations-unmanaged_at_once",
    )
    .with(MANY);

// What idle ones cost.

const MEMORY: Program = program("memory_vconnpool", &["destinations"], Over::Libvconnpool);
const IDLE: Program = program("idle_vconnpool", &["destinations"], Over::Libvconnpool);
pub(super) const MEMORY_ONE: Contestant = MEMORY.as_one("in one destination", "one").with(MANY);
pub(super) const MEMORY_MANY: Contestant =
    MEMORY.as_one("in as many destinations", "many").with(MANY);
pub(super) const IDLE_ONE: Contestant = IDLE.as_one("in one destination", "one").with(MANY);
pub(super) const IDLE_MANY: Contestant = IDLE.as_one("in as many destinations", "many").with(MANY);

// Echoes and dials.

const ECHO: Program = program("echo_vconnpool", &[], Over::Libvconnpool);
pub(super) const ECHO_WATCH: Contestant = ECHO.as_one("libvconnpool, WATCH", "watch");
pub(super) const ECHO_STRICT: Contestant = ECHO.as_one("libvconnpool, STRICT", "strict");
pub(super) const ECHO_KEPT: Contestant =
    program("echo_plain", &[], Over::Nothing).as_one("C, a kept socket", "kept");

const DIAL: Program = program("dial_vconnpool", &[], Over::Libvconnpool);
const DIAL_PLAIN: Program = program("dial_plain", &[], Over::Nothing);
pub(super) const DIAL_CALLS: Contestant =
    DIAL.as_one("libvconnpool, vcp_conn_write and _read", "calls");
pub(super) const DIAL_DESCRIPTOR: Contestant =
    DIAL.as_one("libvconnpool, write and read", "descriptor");
pub(super) const DIAL_BARE: Contestant = DIAL_PLAIN.as_one("C", "bare");
pub(super) const DIAL_OPTIONS: Contestant =
    DIAL_PLAIN.as_one("C, with the library's socket options", "options");
pub(super) const DIAL_SYSTEM_CALLS: Contestant =
    DIAL_PLAIN.as_one("C, with all of the library's system calls", "calls");

const RESTART: Program = program("restart_vconnpool", &[], Over::Libvconnpool);
pub(super) const RESTART_BORROW: Contestant =
    RESTART.as_one("first borrow, 500 dead ones idle", "borrow");
pub(super) const RESTART_FRESH: Contestant = RESTART.as_one("fresh dial, nothing idle", "fresh");

// The crowd.

pub(super) const CROWD_STRICT: Contestant =
    program("crowd_vconnpool", &["crowd"], Over::Libvconnpool)
        .as_one("libvconnpool, STRICT", "strict")
        .with(FEW);
pub(super) const CROWD_BARE: Contestant = program("crowd_plain", &["crowd"], Over::Nothing)
    .as_one("a bare list of futexes", "futex")
    .with(FEW);
pub(super) const CROWD_RESLIST: Contestant =
    program("crowd_apr_reslist", &["crowd", "reslist"], APR)
        .as_one("apr_reslist", "waiting")
        .with(FEW);
pub(super) const CROWD_DEADPOOL: Contestant = PEERS.as_one("deadpool", "crowd-deadpool").with(FEW);
pub(super) const CROWD_BB8: Contestant = PEERS.as_one("bb8", "crowd-bb8").with(FEW);
pub(super) const CROWD_R2D2: Contestant = PEERS.as_one("r2d2", "crowd-r2d2").with(FEW);
