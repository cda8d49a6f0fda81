//! From an address to a connected socket: resolve, order, race, connect. Knows nothing of pools.
#![forbid(unsafe_code)]

pub(crate) mod callbacks;
pub(crate) mod drive;
pub(crate) mod race;
pub(crate) mod resolve;

use self::callbacks::DialCallbacks;
use self::resolve::cache::Cache;
use self::resolve::names::SystemNames;
use self::resolve::resolver::Resolver;
use crate::sync::Arc;
use crate::values::address::Address;
use crate::values::error::Result;
use crate::values::network::Network;
use crate::values::options::DialSettings;

/// Everything that the dials of one pool share.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) settings: DialSettings,
    pub(crate) callbacks: Option<Arc<dyn DialCallbacks>>,
    pub(crate) cache: Cache,
    /// Which pool asks a resolve callback; never 0 and never used again.
    pub(crate) owner: u64,
    pub(crate) resolver: &'static Resolver,
    pub(crate) names: &'static SystemNames,
}

impl Dialer {
    /// A callback of the program that may block runs on the dialing thread itself.
    pub(crate) fn may_block_in_callback(&self, resolves_here: bool) -> bool {
        self.callbacks
            .as_ref()
            .is_some_and(|callbacks| callbacks.dials() || (callbacks.resolves() && resolves_here))
    }

    fn parse_rewritten(&self, network: Network, text: &str) -> Result<Address> {
        Address::parse(&network.to_string(), text, self.names)
            .map_err(|error| error.of("rewrite callback"))
    }
}
