//! What the dials of one pool ask for a host's addresses: its cache, its resolve callback, the
//! resolver of the process.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::cache::AnswerCache;
use super::lookup_queue::{LookupFn, LookupKey};
use super::resolver::Resolver;
use crate::dial::callbacks::{CallbackGate, DialCallbacks};
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use crate::sync::Arc;
use crate::values::error::{Error, Status};

/// The owner of the system's lookups, which all pools share.
const THE_SYSTEM: u64 = 0;

/// The resolvers of a process.
#[derive(Debug)]
pub(crate) struct Resolvers {
    /// Calls getaddrinfo(3).
    pub(crate) system: Resolver,
    /// Calls resolve callbacks.
    pub(crate) callbacks: Resolver,
}

impl Resolvers {
    pub(crate) fn both(&self) -> [&Resolver; 2] {
        [&self.system, &self.callbacks]
    }
}

/// A pool's way to addresses.
#[derive(Debug)]
pub(crate) struct NameService {
    /// Those with a resolve callback only.
    pub(super) callbacks: Option<Arc<dyn DialCallbacks>>,
    pub(super) cache: AnswerCache,
    pub(super) resolver: &'static Resolver,
    /// Held by lookups that wait for a thread, which may outlive the pool.
    gate: Arc<dyn CallbackGate>,
    /// Whose resolve callback is asked; never 0 and never used again.
    owner: u64,
}

impl NameService {
    pub(crate) fn new(
        callbacks: Option<&Arc<dyn DialCallbacks>>,
        cache_for: Duration,
        resolvers: &'static Resolvers,
        gate: Arc<dyn CallbackGate>,
    ) -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(THE_SYSTEM + 1);
        let callbacks = callbacks.filter(|one| one.has_resolve()).cloned();
        let resolver = match callbacks {
            Some(_) => &resolvers.callbacks,
            None => &resolvers.system,
        };
        Self {
            callbacks,
            cache: AnswerCache::new(cache_for),
            resolver,
            gate,
            owner: OWNERS.fetch_add(1, Relaxed),
        }
    }

    /// `resolve` for a thread of the library. getaddrinfo(3) passes no gate: nothing can end it.
    pub(super) fn on_library_thread(&self, resolve: LookupFn) -> LookupFn {
        if self.callbacks.is_none() {
            return resolve;
        }
        let gate = self.gate.clone();
        Box::new(move |lookup| {
            let mut resolve = Some(resolve);
            let mut found = Err(Error::new(Status::PoolClosed, "the pool is closed"));
            gate.let_in(&mut || {
                if let Some(resolve) = resolve.take() {
                    found = resolve(lookup);
                }
            });
            found
        })
    }

    /// A callback may answer differently for each network, the system does not.
    pub(super) fn key(&self, network: &str, host: &str) -> LookupKey {
        match self.callbacks {
            Some(_) => LookupKey {
                owner: self.owner,
                name: format!("{network} {host}"),
            },
            None => LookupKey {
                owner: THE_SYSTEM,
                name: host.to_owned(),
            },
        }
    }
}
