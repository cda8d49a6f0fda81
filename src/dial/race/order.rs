//! In which order the addresses of a name are tried: RFC 8305 section 4.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use crate::values::network::Family;

/// Whether a network of that family can use the address.
pub(crate) fn fits(address: &SocketAddr, family: Family) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}

/// Which family is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstFamily {
    /// The first address's.
    OfFirstAddress,
    /// IPv6: it came while IPv4 was waiting for it.
    Ipv6,
}

/// Interleaves the families: one of each in turn ("First Address Family Count" 1), each family in
/// the resolver's order (RFC 6724).
pub(crate) fn interleave(addresses: Vec<SocketAddr>, first_family: FirstFamily) -> Vec<SocketAddr> {
    let usable = addresses.into_iter();
    let mut usable = usable.peekable();
    let first_is_v6 =
        first_family == FirstFamily::Ipv6 || usable.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        usable.partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return ordered;
        }
        ordered.extend(pair.0);
        ordered.extend(pair.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split(' ')
            .filter(|one| !one.is_empty())
            .map(|one| SocketAddr::new(one.parse().expect("an IP"), 1))
            .collect()
    }

    fn ordered(text: &str, family: Family) -> String {
        let fitting = addresses(text).into_iter().filter(|one| fits(one, family));
        let ordered = interleave(fitting.collect(), FirstFamily::OfFirstAddress);
        let texts: Vec<_> = ordered.iter().map(|one| one.ip().to_string()).collect();
        texts.join(" ")
    }

    #[test]
    fn families_take_turns_and_the_first_ones_begins() {
        assert_eq!(
            ordered("::1 ::2 ::3 1.1.1.1 2.2.2.2", Family::Any),
            "::1 1.1.1.1 ::2 2.2.2.2 ::3"
        );
        assert_eq!(ordered("1.1.1.1 ::1 ::2", Family::Any), "1.1.1.1 ::1 ::2");
        assert_eq!(ordered("1.1.1.1 2.2.2.2", Family::Any), "1.1.1.1 2.2.2.2");
        assert_eq!(ordered("", Family::Any), "");
    }

    #[test]
    fn ipv6_that_was_waited_for_begins() {
        let late = interleave(addresses("1.1.1.1 2.2.2.2 ::1"), FirstFamily::Ipv6);
        assert_eq!(late, addresses("::1 1.1.1.1 2.2.2.2"));
        let alone = interleave(addresses("1.1.1.1"), FirstFamily::Ipv6);
        assert_eq!(alone, addresses("1.1.1.1"));
    }

    #[test]
    fn a_network_of_one_family_keeps_that_family() {
        assert_eq!(ordered("::1 1.1.1.1 ::2", Family::V6), "::1 ::2");
        assert_eq!(ordered("::1 1.1.1.1 ::2", Family::V4), "1.1.1.1");
        assert_eq!(ordered("::1 ::2", Family::V4), "");
    }
}
