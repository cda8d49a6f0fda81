//! What a socket connects to: an IP address with a port, or a Unix socket's name.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::SocketAddr;

/// An address that connect(2) takes as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// IPv4 or IPv6; the port is 0 for raw IP.
    Inet(SocketAddr),
    Unix(UnixName),
}

impl Endpoint {
    pub(crate) fn is_ipv6(&self) -> bool {
        matches!(self, Endpoint::Inet(SocketAddr::V6(_)))
    }

    /// IPv4, IPv6 or Unix, as the other one is.
    pub(crate) fn is_of_the_family_of(&self, other: &Endpoint) -> bool {
        let is_unix = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Unix(_));
        is_unix(self) == is_unix(other) && self.is_ipv6() == other.is_ipv6()
    }

    /// 0.0.0.0 or ::.
    pub(crate) fn is_unspecified(&self) -> bool {
        matches!(self, Endpoint::Inet(address) if address.ip().is_unspecified())
    }

    /// As in an address of the C contract: `1.2.3.4:80`, `[::1]:80`, `/run/db.sock`, `@abstract`.
    /// Without the port if it is raw IP, which has none.
    pub(crate) fn text(&self, has_port: bool) -> String {
        match self {
            Endpoint::Inet(SocketAddr::V6(v6)) if !has_port && v6.scope_id() != 0 => {
                format!("{}%{}", v6.ip(), v6.scope_id())
            }
            Endpoint::Inet(inet) if !has_port => inet.ip().to_string(),
            Endpoint::Inet(inet) => inet.to_string(),
            Endpoint::Unix(name) => name.to_string(),
        }
    }
}

/// A Unix socket's name (unix(7)): a path, or a name in the abstract namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UnixName {
    is_abstract: bool,
    bytes: Box<[u8]>,
}

impl UnixName {
    /// sun_path has 108 bytes (unix(7)); a path needs one for its NUL, an abstract name one for the
    /// NUL it begins with.
    pub(crate) const LONGEST: usize = 107;

    /// From `path` or `@abstract`; `None` if it is empty or too long.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_abstract, name) = match text.strip_prefix('@') {
            Some(name) => (true, name),
            None => (false, text),
        };
        (!text.is_empty() && name.len() <= Self::LONGEST).then(|| Self {
            is_abstract,
            bytes: name.as_bytes().into(),
        })
    }

    /// From sun_path as far as the address's length reaches; `None` if the socket has no name.
    pub(crate) fn from_kernel(bytes: &[u8]) -> Option<Self> {
        let (is_abstract, name) = match bytes {
            [] => return None,
            [0, name @ ..] => (true, name),
            path => (false, path.split(|&byte| byte == 0).next().unwrap_or(path)),
        };
        Some(Self {
            is_abstract,
            bytes: name.into(),
        })
    }

    /// False if its text does not say which name it is.
    pub(crate) fn is_text(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok_and(|text| !text.contains('\0'))
    }

    pub(crate) fn is_abstract(&self) -> bool {
        self.is_abstract
    }

    /// What stands in sun_path, without the NUL that ends a path.
    pub(crate) fn kernel_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 1);
        if self.is_abstract {
            bytes.push(0);
        }
        bytes.extend_from_slice(&self.bytes);
        bytes
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match (self.is_abstract, self.bytes.first()) {
            (true, _) => "@",
            // A file of that name, which without the directory would be read as an abstract name.
            (false, Some(b'@')) => "./",
            (false, _) => "",
        };
        write!(f, "{mark}{}", String::from_utf8_lossy(&self.bytes))
    }
}
