//! What exists once in the process: the engine, the helper threads, the names already looked up. A
//! forked child begins with none of it.
#![forbid(unsafe_code)]

use crate::dial::resolve::names::SystemNames;
use crate::dial::resolve::resolver::Resolver;
use crate::pool::engine::{Engine, Engines};
use crate::pool::Pool;
use crate::sync::{Arc, Mutex};
use crate::sys::per_generation::PerGeneration;
use crate::thread_pool::{Helpers, Job, MOST_THREADS};

/// Enough for many handshakes with servers that answer; with those that do not, nobody is in a
/// hurry.
const MOST_FILLERS: usize = 16;

/// The library's process-wide parts.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) engines: Engines,
    /// What code of the program may hold up: destructors, events.
    pub(crate) helpers: Helpers,
    /// Callbacks and hooks of asynchronous dials.
    pub(crate) dialers: Helpers,
    /// Callbacks and hooks of dials that no caller waits for: they must not keep a thread from the
    /// others.
    pub(crate) fillers: Helpers,
    pub(crate) resolver: Resolver,
    pub(crate) names: SystemNames,
    /// How many there are. Guards the begin of the first and the end of the last.
    pools: Mutex<usize>,
}

impl Runtime {
    fn new() -> Self {
        Self {
            engines: Engines::new(),
            helpers: Helpers::new("vcp-helper", MOST_THREADS),
            dialers: Helpers::new("vcp-dialer", MOST_THREADS),
            fillers: Helpers::new("vcp-filler", MOST_FILLERS),
            resolver: Resolver::new(),
            names: SystemNames::new(),
            pools: Mutex::new(0),
        }
    }

    /// A pool begins.
    pub(crate) fn pool_begins(&self) {
        let mut pools = self.pools.lock();
        *pools += 1;
        self.helpers.wanted();
        self.dialers.wanted();
        self.fillers.wanted();
        self.resolver.open();
    }

    /// A pool has ended. After the last one nothing of the library runs or is held, but for
    /// callbacks that have not returned.
    pub(crate) fn pool_ended(&self) {
        let mut pools = self.pools.lock();
        *pools -= 1;
        if *pools == 0 {
            // Under the lock, so that a pool that begins meanwhile is not taken for gone. Only
            // threads without work are waited for.
            self.helpers.not_wanted();
            self.dialers.not_wanted();
            self.fillers.not_wanted();
            self.resolver.close();
            self.names.forget();
        }
    }
}

/// The one of this process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: PerGeneration<Runtime> = PerGeneration::empty();
    RUNTIME.get_or_make(|_| Runtime::new(), drop)
}

impl Pool {
    pub(crate) fn engine_if_running(&self) -> Option<Arc<Engine>> {
        self.must_be_ours();
        self.engine.lock().clone()
    }
}

/// Runs code of the program: on a helper thread if this one is an engine, which nothing may hold
/// up.
pub(crate) fn run_where_it_may(job: Job) {
    if Engine::is_this_thread() {
        runtime().helpers.run(job);
    } else {
        job();
    }
}
