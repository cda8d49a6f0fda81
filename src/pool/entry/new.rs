//! How a pool begins.
#![forbid(unsafe_code)]

use crate::dial::dialer::Dialer;
use crate::pool::callbacks::gate::Gate;
use crate::pool::callbacks::{Callbacks, Hook, Hooks};
use crate::pool::runtime::runtime;
use crate::pool::state::State;
use crate::pool::Pool;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Arc, Mutex};
use crate::sys::fork;
use crate::values::clock::Time;
use crate::values::options::Options;

impl Pool {
    pub(crate) fn new(options: Options, callbacks: Callbacks) -> Arc<Self> {
        let runtime = runtime();
        runtime.pool_begins();
        let is_asked = |hooks: &Arc<dyn Hooks>| hooks.has(Hook::Reuse) || hooks.has(Hook::Release);
        let is_plain = options.are_plain()
            && callbacks.observer.is_none()
            && !callbacks.hooks.as_ref().is_some_and(is_asked);
        Arc::new(Self {
            state: Mutex::new(State::new(
                options.limits.clone(),
                options.keeping.clone(),
                options.fail_fast,
            )),
            dialer: Arc::new(Dialer::new(
                options.dial.clone(),
                options.dns_cache,
                callbacks.dial,
                &runtime.resolvers,
                &runtime.names,
            )),
            due: AtomicU64::new(Time::NEVER.nanos()),
            engine: Mutex::new(None),
            is_closed: AtomicBool::new(false),
            last_remote: Mutex::new(None),
            observer: callbacks.observer,
            deferred: Mutex::default(),
            loans: Mutex::default(),
            hooks: callbacks.hooks,
            user: callbacks.user,
            gate: Gate::new(),
            is_plain,
            generation: fork::generation(),
            options,
        })
    }
}
