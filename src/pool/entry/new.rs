//! How a pool begins.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::dial::dialer::Dialer;
use crate::pool::callbacks::gate::Gate;
use crate::pool::callbacks::{Callbacks, Hook, Hooks};
use crate::pool::runtime::runtime;
use crate::pool::settings::Settings;
use crate::pool::state::State;
use crate::pool::Pool;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use crate::sync::{Arc, Mutex};
use crate::sys::fork;
use crate::values::clock::Time;
use crate::values::options::{Keeping, Options};

/// From which idle time on on_reuse is asked; `None`: never.
fn on_reuse_after(options: &Options, hooks: Option<&Arc<dyn Hooks>>) -> Option<Duration> {
    let is_set = hooks.is_some_and(|hooks| hooks.has(Hook::Reuse));
    options.on_reuse_after.filter(|_| is_set)
}

/// For how long the fast path may lend a connection that is idle; 0: it must not.
fn fast_path_idle_ms(is_plain: bool, keeping: &Keeping, asked_after: Option<Duration>) -> u32 {
    if !is_plain || !keeping.allows_fast_path() {
        return 0;
    }
    let ms = |timeout: Duration| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let limits = [keeping.idle_timeout, asked_after];
    limits
        .into_iter()
        .flatten()
        .map(ms)
        .min()
        .unwrap_or(u32::MAX)
}

impl Pool {
    /// As `fast_path_idle_ms`, with other times to keep connections for.
    pub(super) fn fast_path_idle_ms_with(&self, keeping: &Keeping) -> u32 {
        let asked_after = on_reuse_after(&self.options, self.hooks.as_ref());
        fast_path_idle_ms(self.is_plain, keeping, asked_after)
    }

    pub(crate) fn new(options: Options, callbacks: Callbacks) -> Arc<Self> {
        let runtime = runtime();
        runtime.pool_begins();
        let on_reuse_after = on_reuse_after(&options, callbacks.hooks.as_ref());
        let is_asked = |hooks: &Arc<dyn Hooks>| hooks.has(Hook::Release);
        let is_plain = options.are_plain()
            && callbacks.observer.is_none()
            && on_reuse_after != Some(Duration::ZERO)
            && !callbacks.hooks.as_ref().is_some_and(is_asked);
        let limits = options.adjustable.limits.clone();
        let state = State::new(
            limits,
            options.adjustable.keeping.clone(),
            options.fail_fast,
        );
        let has_on_idle = callbacks
            .hooks
            .as_ref()
            .is_some_and(|one| one.has(Hook::Idle));
        let state = state.checking_every(options.on_idle_every.filter(|_| has_on_idle));
        let state = match &callbacks.observer {
            Some(_) => state.observed(),
            None => state,
        };
        let gate = Arc::new(Gate::new());
        Arc::new(Self {
            state: Mutex::new(state),
            dialer: Arc::new(Dialer::new(
                options.dial.clone(),
                options.dns_cache,
                callbacks.dial,
                &runtime.resolvers,
                &runtime.names,
                gate.clone(),
            )),
            due: AtomicU64::new(Time::NEVER.nanos()),
            engine: Mutex::new(None),
            is_closed: AtomicBool::new(false),
            last_remote: Mutex::new(None),
            observer: callbacks.observer,
            deferred: Mutex::default(),
            unclosed: Mutex::default(),
            loans: Mutex::default(),
            hooks: callbacks.hooks,
            user: callbacks.user,
            gate,
            is_plain,
            fast_path_idle_ms: AtomicU32::new(fast_path_idle_ms(
                is_plain,
                &options.adjustable.keeping,
                on_reuse_after,
            )),
            settings: Settings::new(&options.adjustable),
            epoch: fork::epoch(),
            options,
        })
    }
}
