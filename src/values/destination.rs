//! What connections are of: within one destination any of them does.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::ops::RangeInclusive;
// Not `sync`'s, which the model checkers make their own: those know no statics.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::address::Address;

/// Drawn once, so that a peer cannot choose addresses whose hashes collide; 0: not yet.
static SEED: AtomicU64 = AtomicU64::new(0);

fn seed() -> u64 {
    let seed = SEED.load(Relaxed);
    if seed != 0 {
        return seed;
    }
    let drawn = RandomState::new().hash_one(0) | 1;
    // Of several who draw at once the first one's counts.
    SEED.compare_exchange(0, drawn, Relaxed, Relaxed)
        .map_or_else(|seed| seed, |_| drawn)
}

/// The part of a destination's hash that is its address's alone.
const ADDRESS_BITS: u64 = !0 << 32;

fn hasher_of(address: &Address) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed());
    address.text.hash(&mut hasher);
    hasher
}

/// Connections are reused only within one of these.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) address: Address,
    pub(crate) tag: Box<str>,
    hash: u64,
}

impl Destination {
    pub(crate) fn new(address: Address, tag: &str) -> Self {
        let mut hasher = hasher_of(&address);
        let at_address = hasher.finish() & ADDRESS_BITS;
        tag.hash(&mut hasher);
        Self {
            hash: at_address | (hasher.finish() & !ADDRESS_BITS),
            address,
            tag: tag.into(),
        }
    }

    /// The hashes that destinations at that address have, whatever their tags.
    pub(crate) fn hashes_at(address: &Address) -> RangeInclusive<u64> {
        let at_address = hasher_of(address).finish() & ADDRESS_BITS;
        at_address..=at_address | !ADDRESS_BITS
    }

    /// Equal for equal destinations, as long as the process lives.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    #[cfg(test)]
    pub(crate) fn hashed_as(self, hash: u64) -> Self {
        Self { hash, ..self }
    }

    /// True whatever the tag.
    pub(crate) fn is_at(&self, address: &Address) -> bool {
        self.address.network == address.network && self.address.text == address.text
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.tag == other.tag && self.is_at(&other.address))
    }
}

impl Eq for Destination {}

impl PartialOrd for Destination {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Destination {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (&self.address, &other.address);
        own.text
            .cmp(&others.text)
            .then_with(|| own.network.cmp(&others.network))
            .then_with(|| self.tag.cmp(&other.tag))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::endpoint::Endpoint;
    use crate::values::network::{Family, Network};

    fn address(text: &str) -> Address {
        let endpoint = Endpoint::Inet(text.parse().expect("a literal"));
        Address::of_endpoint(Network::Tcp(Family::Any), endpoint)
    }

    #[test]
    fn tags_separate_destinations_and_addresses_join_them() {
        let address = address("127.0.0.1:80");
        let one = Destination::new(address.clone(), "");
        let other = Destination::new(address.clone(), "t");
        assert_ne!(one, other);
        assert!(one.is_at(&address) && other.is_at(&address));
    }

    #[test]
    fn the_hashes_at_an_address_are_those_of_its_tags() {
        let hashes = Destination::hashes_at(&address("127.0.0.1:80"));
        let of = |text, tag| Destination::new(address(text), tag).hash();
        assert!(hashes.contains(&of("127.0.0.1:80", "")));
        assert!(hashes.contains(&of("127.0.0.1:80", "t")));
        assert!(!hashes.contains(&of("127.0.0.1:81", "")));
    }

    #[test]
    fn equal_destinations_have_one_hash_and_others_have_others() {
        let of = |text, tag| Destination::new(address(text), tag).hash();
        assert_eq!(of("127.0.0.1:80", "t"), of("127.0.0.1:80", "t"));
        let all = [
            of("127.0.0.1:80", ""),
            of("127.0.0.1:81", ""),
            of("127.0.0.1:80", "t"),
            of("127.0.0.1:80", "u"),
        ];
        let apart: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert_eq!(apart.len(), all.len());
    }
}
