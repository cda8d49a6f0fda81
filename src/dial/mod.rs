//! From an address to a connected socket: resolve, order, race, connect. Knows nothing of pools.
#![forbid(unsafe_code)]

pub(crate) mod adopt;
pub(crate) mod cache;
pub(crate) mod connect;
pub(crate) mod drive;
pub(crate) mod flight;
pub(crate) mod lookup;
pub(crate) mod names;
pub(crate) mod order;
pub(crate) mod program;
pub(crate) mod race;
pub(crate) mod resolver;
pub(crate) mod source;

use self::cache::Cache;
use self::names::SystemNames;
use self::program::Program;
use self::resolver::Resolver;
use crate::sync::Arc;
use crate::values::address::Address;
use crate::values::error::Result;
use crate::values::network::Network;
use crate::values::options::DialSettings;

/// Everything that the dials of one pool share.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) settings: DialSettings,
    pub(crate) program: Option<Arc<dyn Program>>,
    pub(crate) cache: Cache,
    /// Which pool asks a resolve callback; never 0 and never used again.
    pub(crate) owner: u64,
    pub(crate) resolver: &'static Resolver,
    pub(crate) names: &'static SystemNames,
}

impl Dialer {
    /// A callback of the program that may block runs on the dialing thread itself.
    pub(crate) fn may_block_in_callback(&self, resolves_here: bool) -> bool {
        self.program
            .as_ref()
            .is_some_and(|program| program.dials() || (program.resolves() && resolves_here))
    }

    fn parse_rewritten(&self, network: Network, text: &str) -> Result<Address> {
        Address::parse(&network.to_string(), text, self.names)
            .map_err(|error| error.of("rewrite callback"))
    }
}
