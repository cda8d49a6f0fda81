//! Text to destination: the address forms of the C contract and of Go's net package.
//!
//! Two spellings of one literal IP and port become one destination here.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::endpoint::{Endpoint, UnixName};
use super::error::Result;
use super::host_port::{invalid, parse_literal, parse_port, split_host_port, Names};
use super::network::{Family, Network};

/// The longest text (address, network, reuse tag, label) that is taken.
pub(crate) const LONGEST_TEXT: usize = 1024;

/// What an address means to the dialer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing to resolve.
    Literal(Endpoint),
    /// A host name and a port (0 for raw IP).
    Name { host: Box<str>, port: u16 },
}

/// A network and an address in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) network: Network,
    pub(crate) text: Box<str>,
    pub(crate) target: Target,
}

impl Address {
    pub(crate) fn parse(network: &str, address: &str, names: &dyn Names) -> Result<Self> {
        let network = Network::parse(network, |name| names.protocol(name))?;
        if address.len() > LONGEST_TEXT {
            return Err(invalid(format_args!(
                "{} bytes long, at most {LONGEST_TEXT} are allowed",
                address.len()
            )));
        }
        match network.family() {
            None => Self::parse_unix(network, address),
            Some(family) if network.has_port() => {
                Self::parse_host_port(network, family, address, names)
            }
            Some(_) => Self::parse_bare_host(network, address, names),
        }
    }

    /// The destination of a connected socket's peer.
    pub(crate) fn of_endpoint(network: Network, endpoint: Endpoint) -> Self {
        Self {
            network,
            text: endpoint.text(network.has_port()).into(),
            target: Target::Literal(endpoint),
        }
    }

    fn parse_unix(network: Network, address: &str) -> Result<Self> {
        let name = UnixName::parse(address).ok_or_else(|| {
            if address.is_empty() {
                invalid("an empty path")
            } else {
                invalid(format_args!(
                    "a unix socket's name has at most {} bytes",
                    UnixName::LONGEST
                ))
            }
        })?;
        Ok(Self::of_endpoint(network, Endpoint::Unix(name)))
    }

    fn parse_host_port(
        network: Network,
        family: Family,
        address: &str,
        names: &dyn Names,
    ) -> Result<Self> {
        let (host, port) = split_host_port(address)?;
        let is_canonical_port =
            port == "0" || (!port.starts_with('0') && port.bytes().all(|c| c.is_ascii_digit()));
        let port = parse_port(port, network, names).ok_or_else(|| {
            invalid(format_args!(
                "\"{port}\" is neither a port (0 to 65535) nor a known service"
            ))
        })?;
        if host.is_empty() {
            let loopback = match family {
                Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
                Family::Any | Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            };
            return Ok(Self::of_endpoint(
                network,
                Endpoint::Inet(SocketAddr::new(loopback, port)),
            ));
        }
        Ok(match parse_literal(host, port, names)? {
            // Ipv4Addr reads the canonical form only, so without brackets around it the text need
            // not be written anew (1,600 instructions).
            Some(literal) if is_canonical_port && is_bare_ipv4(address, host) => Self {
                network,
                text: address.into(),
                target: Target::Literal(Endpoint::Inet(literal)),
            },
            Some(literal) => Self::of_endpoint(network, Endpoint::Inet(literal)),
            None => Self {
                network,
                text: format!("{host}:{port}").into(),
                target: Target::Name {
                    host: host.into(),
                    port,
                },
            },
        })
    }

    fn parse_bare_host(network: Network, address: &str, names: &dyn Names) -> Result<Self> {
        if address.is_empty() {
            return Err(invalid("no host"));
        }
        if address.contains(['[', ']']) {
            return Err(invalid("a raw network takes a bare host, without brackets"));
        }
        Ok(match parse_literal(address, 0, names)? {
            Some(literal) => Self::of_endpoint(network, Endpoint::Inet(literal)),
            None => Self {
                network,
                text: address.into(),
                target: Target::Name {
                    host: address.into(),
                    port: 0,
                },
            },
        })
    }
}

fn is_bare_ipv4(address: &str, host: &str) -> bool {
    !address.starts_with('[') && host.parse::<Ipv4Addr>().is_ok()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.network, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::error::Status;

    struct FakeNames;

    impl Names for FakeNames {
        fn service(&self, name: &str, protocol: &str) -> Option<u16> {
            match (name, protocol) {
                ("http", "tcp") => Some(80),
                ("domain", "udp") => Some(53),
                _ => None,
            }
        }
        fn protocol(&self, name: &str) -> Option<u8> {
            (name == "icmp").then_some(1)
        }
        fn interface(&self, zone: &str) -> Option<u32> {
            (zone == "eth0" || zone == "2").then_some(2)
        }
    }

    /// Canonical text, or the status.
    fn parsed(network: &str, address: &str) -> std::result::Result<String, Status> {
        Address::parse(network, address, &FakeNames)
            .map(|address| address.to_string())
            .map_err(|error| error.status)
    }

    #[test]
    fn good_addresses_have_one_canonical_form() {
        let long_path = "/".repeat(107);
        let long_name = format!("@{}", "a".repeat(107));
        for (network, address, canonical) in [
            ("tcp", "127.0.0.1:80", "tcp 127.0.0.1:80"),
            ("tcp", "127.0.0.1:0080", "tcp 127.0.0.1:80"),
            ("tcp", "127.0.0.1:http", "tcp 127.0.0.1:80"),
            ("tcp", "[127.0.0.1]:80", "tcp 127.0.0.1:80"),
            ("tcp", "127.0.0.1:0", "tcp 127.0.0.1:0"),
            ("tcp", "127.0.0.1:65535", "tcp 127.0.0.1:65535"),
            ("tcp", "[::1]:80", "tcp [::1]:80"),
            ("tcp", "[0:0::1]:80", "tcp [::1]:80"),
            ("tcp", "[0:0:0:0:0:0:0:1]:http", "tcp [::1]:80"),
            ("tcp", "[::ffff:1.2.3.4]:80", "tcp 1.2.3.4:80"),
            ("tcp", "[fe80::1%eth0]:80", "tcp [fe80::1%2]:80"),
            ("tcp", "[fe80::1%2]:80", "tcp [fe80::1%2]:80"),
            ("tcp", "[FE80::A]:80", "tcp [fe80::a]:80"),
            ("tcp", ":80", "tcp 127.0.0.1:80"),
            ("tcp", ":http", "tcp 127.0.0.1:80"),
            ("tcp4", ":80", "tcp4 127.0.0.1:80"),
            ("tcp6", ":80", "tcp6 [::1]:80"),
            ("tcp4", "[::1]:80", "tcp4 [::1]:80"),
            ("tcp6", "127.0.0.1:80", "tcp6 127.0.0.1:80"),
            ("tcp", "db.local:5432", "tcp db.local:5432"),
            ("tcp", "db.local:http", "tcp db.local:80"),
            ("tcp", "[db.local]:80", "tcp db.local:80"),
            ("tcp", "127.1:80", "tcp 127.1:80"),
            ("udp", "127.0.0.1:domain", "udp 127.0.0.1:53"),
            ("udp4", ":53", "udp4 127.0.0.1:53"),
            ("udp6", ":53", "udp6 [::1]:53"),
            ("unix", "/run/db.sock", "unix /run/db.sock"),
            ("unix", "relative.sock", "unix relative.sock"),
            ("unix", "@abstract", "unix @abstract"),
            ("unix", "@", "unix @"),
            ("unix", &long_path, &format!("unix {long_path}")),
            ("unix", &long_name, &format!("unix {long_name}")),
            ("unixgram", "/run/log", "unixgram /run/log"),
            ("unixpacket", "/run/seq", "unixpacket /run/seq"),
            ("ip4:icmp", "127.0.0.1", "ip4:1 127.0.0.1"),
            ("ip4:1", "127.0.0.1", "ip4:1 127.0.0.1"),
            ("ip6:58", "::1", "ip6:58 ::1"),
            ("ip6:58", "fe80::1%eth0", "ip6:58 fe80::1%2"),
            ("ip:icmp", "host.local", "ip:1 host.local"),
        ] {
            assert_eq!(
                parsed(network, address).as_deref(),
                Ok(canonical),
                "{network} {address}"
            );
        }
    }

    #[test]
    fn bad_addresses_are_told_apart_from_unknown_networks() {
        let long_path = "/".repeat(108);
        let long_name = format!("@{}", "a".repeat(108));
        let long_host = format!("{}:80", "a".repeat(1022));
        for (network, address) in [
            ("tcp", ""),
            ("tcp", "127.0.0.1"),
            ("tcp", "localhost"),
            ("tcp", "localhost:"),
            ("tcp", "127.0.0.1:"),
            ("tcp", ":"),
            ("tcp", "127.0.0.1:65536"),
            ("tcp", "127.0.0.1:99999999999999999999"),
            ("tcp", "127.0.0.1:-1"),
            ("tcp", "127.0.0.1:+80"),
            ("tcp", "127.0.0.1: 80"),
            ("tcp", "127.0.0.1:no-such-service"),
            ("udp", "127.0.0.1:http"),
            ("tcp", "::1:80"),
            ("tcp", "::1"),
            ("tcp", "[::1]"),
            ("tcp", "[::1]80"),
            ("tcp", "[::1:80"),
            ("tcp", "::1]:80"),
            ("tcp", "[[::1]]:80"),
            ("tcp", "[::1]:80]"),
            ("tcp", "[]:80"),
            ("tcp", "[::g]:80"),
            ("tcp", "[1:2:3]:80"),
            ("tcp", "[fe80::1%none]:80"),
            ("tcp", "a[b]:80"),
            ("tcp", "a:b:80"),
            ("tcp", &long_host),
            ("unix", ""),
            ("unix", &long_path),
            ("unix", &long_name),
            ("unixgram", ""),
            ("ip4:icmp", ""),
            ("ip4:icmp", "127.0.0.1:80"),
            ("ip6:58", "[::1]"),
        ] {
            assert_eq!(
                parsed(network, address),
                Err(Status::InvalidAddress),
                "{network} {address}"
            );
        }
        for network in [
            "",
            "TCP",
            "tcp5",
            "tcp ",
            "sctp",
            "ip",
            "ip4",
            "ip6",
            "ip4:",
            "ip4:nothing",
            "ip4:256",
            "ip5:1",
            "unixstream",
        ] {
            assert_eq!(
                parsed(network, "127.0.0.1:80"),
                Err(Status::UnknownNetwork),
                "{network}"
            );
        }
    }

    #[test]
    fn the_message_says_what_is_wrong() {
        let error = Address::parse("tcp", "db:no-such", &FakeNames).expect_err("no such service");
        assert_eq!(
            error.message,
            "invalid address: \"no-such\" is neither a port (0 to 65535) nor a known service"
        );
    }
}
