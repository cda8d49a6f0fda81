//! The networks of the C contract, as Go's net package names them.
#![forbid(unsafe_code)]

use std::fmt;

use super::error::{Error, Status};

/// Which IP versions a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

/// What is dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    Tcp(Family),
    Udp(Family),
    /// Raw IP with its protocol number.
    Ip(Family, u8),
    Unix,
    Unixgram,
    Unixpacket,
}

impl Network {
    /// `protocol_number` looks up a protocol's name.
    pub(crate) fn parse(
        text: &str,
        protocol_number: impl FnOnce(&str) -> Option<u8>,
    ) -> Result<Self, Error> {
        use Family::{Any, V4, V6};
        Ok(match text {
            "tcp" => Self::Tcp(Any),
            "tcp4" => Self::Tcp(V4),
            "tcp6" => Self::Tcp(V6),
            "udp" => Self::Udp(Any),
            "udp4" => Self::Udp(V4),
            "udp6" => Self::Udp(V6),
            "unix" => Self::Unix,
            "unixgram" => Self::Unixgram,
            "unixpacket" => Self::Unixpacket,
            _ => return Self::parse_ip(text, protocol_number),
        })
    }

    fn parse_ip(
        text: &str,
        protocol_number: impl FnOnce(&str) -> Option<u8>,
    ) -> Result<Self, Error> {
        let (name, protocol) = text.split_once(':').unwrap_or((text, ""));
        let family = match name {
            "ip" => Family::Any,
            "ip4" => Family::V4,
            "ip6" => Family::V6,
            _ => return Err(unknown("")),
        };
        if protocol.is_empty() {
            return Err(unknown(
                ": a raw network needs its protocol, as in ip4:icmp",
            ));
        }
        let number = if protocol.bytes().all(|byte| byte.is_ascii_digit()) {
            protocol.parse().ok()
        } else {
            protocol_number(protocol)
        };
        match number {
            Some(number) => Ok(Self::Ip(family, number)),
            None => Err(unknown(": unknown protocol")),
        }
    }

    /// `None` for Unix networks.
    pub(crate) fn family(self) -> Option<Family> {
        match self {
            Self::Tcp(family) | Self::Udp(family) | Self::Ip(family, _) => Some(family),
            Self::Unix | Self::Unixgram | Self::Unixpacket => None,
        }
    }

    /// Addresses of this network end in a port.
    pub(crate) fn has_port(self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Udp(_))
    }

    /// One datagram per read, and no hang-up to be seen.
    pub(crate) fn is_datagram(self) -> bool {
        matches!(self, Self::Udp(_) | Self::Ip(..) | Self::Unixgram)
    }

    /// The name for services(5).
    pub(crate) fn service_protocol(self) -> &'static str {
        if matches!(self, Self::Udp(_)) {
            "udp"
        } else {
            "tcp"
        }
    }

    /// The network with its family fixed, as net.Dialer.Control is told it: `tcp4`, `udp6`,
    /// `ip4:1`, `unix`.
    pub(crate) fn of_version(self, is_ipv6: bool) -> Self {
        let family = if is_ipv6 { Family::V6 } else { Family::V4 };
        match self {
            Self::Tcp(_) => Self::Tcp(family),
            Self::Udp(_) => Self::Udp(family),
            Self::Ip(_, protocol) => Self::Ip(family, protocol),
            unix => unix,
        }
    }
}

/// The network itself is named by what was asked for, in front of this.
fn unknown(why: &str) -> Error {
    Error::new(Status::UnknownNetwork, format!("unknown network{why}"))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |family: &Family| match family {
            Family::Any => "",
            Family::V4 => "4",
            Family::V6 => "6",
        };
        match self {
            Self::Tcp(family) => write!(f, "tcp{}", digit(family)),
            Self::Udp(family) => write!(f, "udp{}", digit(family)),
            Self::Ip(family, protocol) => write!(f, "ip{}:{protocol}", digit(family)),
            Self::Unix => f.write_str("unix"),
            Self::Unixgram => f.write_str("unixgram"),
            Self::Unixpacket => f.write_str("unixpacket"),
        }
    }
}
