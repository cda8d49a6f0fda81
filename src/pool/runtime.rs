//! What exists once in the process: the engine, the helper threads, the names already looked up. A
//! forked child begins with none of it.
#![forbid(unsafe_code)]

use crate::dial::resolve::name_service::Resolvers;
use crate::dial::resolve::names::SystemNames;
use crate::dial::resolve::resolver::Resolver;
use crate::pool::conn::sleepers::sleepers;
use crate::pool::engine::{Engine, Engines};
use crate::pool::Pool;
use crate::sync::{Arc, Mutex};
use crate::sys::fork::per_process::PerProcess;
use crate::thread_pool::helpers::{HelperLane, Helpers};
use crate::thread_pool::{Job, Lane, ThreadPool};

/// Names that getaddrinfo(3) looks up at once, each on a thread: it cannot be stopped.
const MOST_RESOLVERS: usize = 64;
static RESOLVER_LANES: [Lane; 1] = [Lane {
    kept: MOST_RESOLVERS,
    most: MOST_RESOLVERS,
}];

/// The library's process-wide parts.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) engines: Engines,
    /// For code of the program.
    pub(crate) helpers: Helpers,
    /// For getaddrinfo(3).
    resolver_threads: Arc<ThreadPool>,
    pub(crate) resolvers: Resolvers,
    pub(crate) names: SystemNames,
    /// How many there are. Guards the begin of the first and the end of the last.
    pools: Mutex<usize>,
}

impl Runtime {
    fn new() -> Self {
        let helpers = Helpers::new();
        let resolver_threads = ThreadPool::new(c"vcp-resolver", MOST_RESOLVERS, &RESOLVER_LANES);
        let resolvers = Resolvers {
            system: Resolver::new(resolver_threads.clone(), 0, MOST_RESOLVERS),
            callbacks: Resolver::new(
                helpers.threads().clone(),
                HelperLane::Resolve as usize,
                Helpers::most_resolving(),
            ),
        };
        Self {
            engines: Engines::new(),
            helpers,
            resolver_threads,
            resolvers,
            names: SystemNames::new(),
            pools: Mutex::new(0),
        }
    }

    /// A pool begins.
    pub(crate) fn pool_begins(&self) {
        let mut pools = self.pools.lock();
        *pools += 1;
        sleepers().keep_spare();
        for threads in [self.helpers.threads(), &self.resolver_threads] {
            threads.open();
        }
        for resolver in self.resolvers.both() {
            resolver.start_remembering();
        }
    }

    /// A pool has ended. After the last one nothing of the library runs or is held, but for
    /// callbacks that have not returned.
    pub(crate) fn pool_ended(&self) {
        let mut pools = self.pools.lock();
        *pools -= 1;
        if *pools == 0 {
            // Under the lock, so that a pool that begins meanwhile is not taken for gone. Only
            // threads without work are waited for.
            for threads in [self.helpers.threads(), &self.resolver_threads] {
                threads.close();
            }
            for resolver in self.resolvers.both() {
                resolver.forget_everything();
            }
            self.names.forget();
            sleepers().drop_spare();
        }
    }
}

/// The one of this process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: PerProcess<Runtime> = PerProcess::empty();
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
        runtime().helpers.notify(job);
    } else {
        job();
    }
}
