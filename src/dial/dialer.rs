//! What the dials of one pool share.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::callbacks::{CallbackGate, DialCallbacks};
use super::caller::DialCaller;
use super::race::failed_addresses::FailedAddresses;
use super::race::happy_eyeballs::Pace;
use super::resolve::name_service::{NameService, Resolvers};
use super::resolve::names::SystemNames;
use crate::sync::Arc;
use crate::values::address::Address;
use crate::values::error::Result;
use crate::values::network::Network;
use crate::values::options::DialSettings;

/// The settings, callbacks and memory of a pool's dials.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) settings: DialSettings,
    pub(crate) callbacks: Option<Arc<dyn DialCallbacks>>,
    pub(super) name_service: Arc<NameService>,
    pub(super) failed: FailedAddresses,
    /// Of services, protocols and interfaces.
    names: &'static SystemNames,
}

impl Dialer {
    pub(crate) fn new(
        settings: DialSettings,
        cache_for: Duration,
        callbacks: Option<Arc<dyn DialCallbacks>>,
        resolvers: &'static Resolvers,
        names: &'static SystemNames,
        gate: Arc<dyn CallbackGate>,
    ) -> Self {
        let name_service = NameService::new(callbacks.as_ref(), cache_for, resolvers, gate);
        Self {
            settings,
            callbacks,
            name_service: Arc::new(name_service),
            failed: FailedAddresses::default(),
            names,
        }
    }

    /// A callback of the program that may block runs on the dialing thread itself.
    pub(crate) fn may_block_in_callback(&self, caller: &impl DialCaller) -> bool {
        self.callbacks.as_ref().is_some_and(|one| {
            let dials = one.has_dial() || one.has_open_session();
            (dials && caller.dials_by_callback_here())
                || (one.has_resolve() && caller.may_resolve_here())
        })
    }

    /// A callback of the program takes the place of resolving and connecting.
    pub(crate) fn dials_by_callback(&self) -> bool {
        let callbacks = self.callbacks.as_ref();
        callbacks.is_some_and(|one| one.has_dial() || one.has_open_session())
    }

    /// A driver dials by itself; the library opens no socket.
    pub(crate) fn opens_sessions(&self) -> bool {
        let callbacks = self.callbacks.as_ref();
        callbacks.is_some_and(|one| one.has_open_session())
    }

    /// The address that the rewrite callback wants instead, if there is one.
    pub(super) fn rewrite(&self, address: &Address) -> Result<Option<Address>> {
        let Some(callbacks) = &self.callbacks else {
            return Ok(None);
        };
        let network = address.network;
        let rewritten = callbacks.rewrite(&network.to_string(), &address.text)?;
        rewritten
            .map(|text| self.parse_rewritten(network, &text))
            .transpose()
    }

    fn parse_rewritten(&self, network: Network, text: &str) -> Result<Address> {
        self.names
            .parse(&network.to_string(), text)
            .map_err(|error| error.of(format_args!("rewrite callback: {text}")))
    }

    pub(super) fn pace(&self) -> Pace {
        self.settings
            .fallback_delay
            .map_or(Pace::OneByOne, Pace::Staggered)
    }
}
