//! The parts of an address: host, port and literal IP.
//!
//! Names of services, protocols and network interfaces come from the caller ([`Names`]), because
//! looking them up is I/O.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::error::{Error, Result, Status};
use super::network::Network;

/// Looks up what the system knows by name.
pub(crate) trait Names {
    /// The port of a service; `protocol` is "tcp" or "udp".
    fn service(&self, name: &str, protocol: &str) -> Option<u16>;
    /// The number of an IP protocol.
    fn protocol(&self, name: &str) -> Option<u8>;
    /// The index of a network interface.
    fn interface(&self, zone: &str) -> Option<u32>;
}

/// One literal IP, with a zone perhaps; port 0.
pub(crate) fn parse_ip(text: &str, names: &dyn Names) -> Result<SocketAddr> {
    match parse_literal(text, 0, names)? {
        Some(address) => Ok(address),
        None => Err(invalid("not a literal IP")),
    }
}

/// The address itself is named by what was asked for, in front of this.
pub(super) fn invalid(why: impl fmt::Display) -> Error {
    Error::new(Status::InvalidAddress, format!("invalid address: {why}"))
}

/// As Go's SplitHostPort, but an empty port is an error.
pub(super) fn split_host_port(address: &str) -> Result<(&str, &str)> {
    let (host, rest) = if let Some(inside) = address.strip_prefix('[') {
        let (host, rest) = inside
            .split_once(']')
            .ok_or_else(|| invalid("missing ']'"))?;
        if host.is_empty() {
            return Err(invalid("nothing between the brackets"));
        }
        let port = rest
            .strip_prefix(':')
            .ok_or_else(|| invalid("no port behind the brackets"))?;
        (host, port)
    } else {
        let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid("no port"))?;
        if host.contains(':') {
            return Err(invalid(
                "too many colons (IPv6 goes into brackets: [::1]:80)",
            ));
        }
        (host, port)
    };
    if host.contains(['[', ']']) || rest.contains(['[', ']']) {
        return Err(invalid("unbalanced brackets"));
    }
    if rest.is_empty() {
        return Err(invalid("an empty port"));
    }
    Ok((host, rest))
}

pub(super) fn parse_port(text: &str, network: Network, names: &dyn Names) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        names.service(text, network.service_protocol())
    }
}

/// `None` if `host` is a name. IPv4 mapped into IPv6 is IPv4, as in Go.
pub(super) fn parse_literal(
    host: &str,
    port: u16,
    names: &dyn Names,
) -> Result<Option<SocketAddr>> {
    if let Ok(v4) = host.parse::<Ipv4Addr>() {
        return Ok(Some(SocketAddr::from((v4, port))));
    }
    let (ip, zone) = match host.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (host, None),
    };
    let Ok(v6) = ip.parse::<Ipv6Addr>() else {
        return if host.contains(':') {
            Err(invalid(format_args!("\"{host}\" is no IPv6 address")))
        } else {
            Ok(None)
        };
    };
    let scope = match zone {
        None => 0,
        Some(zone) => names
            .interface(zone)
            .ok_or_else(|| invalid(format_args!("unknown zone \"{zone}\"")))?,
    };
    Ok(Some(match v6.to_ipv4_mapped() {
        Some(v4) => SocketAddr::from((v4, port)),
        None => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope)),
    }))
}
