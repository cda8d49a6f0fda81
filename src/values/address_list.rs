//! The addresses of one name: each once, and not more than a dial can use.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

/// Addresses that are taken of one family. Whoever answers for a name chooses how many it has: a
/// DNS answer of 64 KiB holds 4,000. Each costs memory in the cache and an attempt of a dial; at
/// four attempts a second (RFC 8305) these are enough for a minute.
const MOST_OF_A_FAMILY: usize = 256;

/// Adds an address that is not known yet, while its family has room.
pub(crate) fn add_address(known: &mut Vec<SocketAddr>, address: SocketAddr) {
    let family = known
        .iter()
        .filter(|one| one.is_ipv4() == address.is_ipv4());
    if family.count() < MOST_OF_A_FAMILY && !known.contains(&address) {
        known.push(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn many_addresses_of_one_family_leave_room_for_the_other() {
        let mut known = Vec::new();
        for number in 0..1_000_u32 {
            let ipv6 = Ipv6Addr::from_bits(number.into());
            add_address(&mut known, SocketAddr::from((ipv6, 0)));
            add_address(&mut known, SocketAddr::from((ipv6, 0)));
        }
        assert_eq!(known.len(), MOST_OF_A_FAMILY);
        add_address(&mut known, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        assert_eq!(known.len(), MOST_OF_A_FAMILY + 1);
        assert!(known[MOST_OF_A_FAMILY].is_ipv4());
    }
}
