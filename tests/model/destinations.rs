//! The destinations that are played with.
#![forbid(unsafe_code)]

use super::reference::DESTINATIONS;
use crate::sync::Arc;
use crate::values::address::{Address, Target};
use crate::values::destination::Destination;
use crate::values::network::{Family, Network};

pub(super) type Destinations = [Arc<Destination>; DESTINATIONS];

/// Two with one address, and another.
pub(super) fn destinations() -> Destinations {
    [("a", ""), ("a", "tag"), ("b", "")].map(|(host, tag)| {
        let address = Address {
            network: Network::Tcp(Family::Any),
            text: format!("{host}:1").into(),
            target: Target::Name {
                host: host.into(),
                port: 1,
            },
        };
        Arc::new(Destination::new(address, tag))
    })
}
