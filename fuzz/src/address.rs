//! The address parser: it never panics, and what it made of a text reads as the same address again.

use crate::values::address::Address;
use crate::values::host_port::Names;

/// A few names of each kind, so that texts with names are taken too.
struct SomeNames;

impl Names for SomeNames {
    fn service(&self, name: &str, protocol: &str) -> Option<u16> {
        match (name, protocol) {
            ("http", "tcp") => Some(80),
            ("domain", _) => Some(53),
            _ => None,
        }
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        (name == "icmp").then_some(1)
    }

    fn interface(&self, zone: &str) -> Option<u32> {
        (zone == "lo").then_some(1)
    }
}

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (network, address) = text.split_once('\n').unwrap_or(("tcp", text));
    let Ok(parsed) = Address::parse(network, address, &SomeNames) else {
        return;
    };
    let network = parsed.network.to_string();
    let again = Address::parse(&network, &parsed.text, &SomeNames);
    let again = again.unwrap_or_else(|error| panic!("{parsed} of {text:?}: {error}"));
    assert_eq!(again, parsed, "of {text:?}");
}
