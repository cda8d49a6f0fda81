//! The addresses that failed of late: they are tried last for a minute.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::dial::bounded::make_room;
use crate::sync::Mutex;
use crate::values::clock::Time;

/// Addresses that are remembered at the most.
const MOST_ADDRESSES: usize = 1024;
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// When each address failed, or was still unanswered when another one won.
#[derive(Debug, Default)]
pub(crate) struct FailedAddresses {
    /// Guards itself alone.
    failed: Mutex<BTreeMap<SocketAddr, Time>>,
}

impl FailedAddresses {
    pub(crate) fn note(&self, address: SocketAddr, now: Time) {
        let mut failed = self.failed.lock();
        make_room(
            &mut failed,
            MOST_ADDRESSES,
            |since| *since,
            |since| since.after(AVOIDED_FOR) <= now,
        );
        failed.insert(address, now);
    }

    /// It was connected to.
    pub(crate) fn forget(&self, address: &SocketAddr) {
        self.failed.lock().remove(address);
    }

    /// Puts those that failed within the last minute behind the others, each group in its order.
    pub(crate) fn move_to_end(&self, addresses: &mut [SocketAddr], now: Time) {
        let failed = self.failed.lock();
        addresses.sort_by_key(|one| {
            let since = failed.get(one);
            since.is_some_and(|since| since.after(AVOIDED_FOR) > now)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos((1_000 + ms) * 1_000_000)
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[test]
    fn addresses_that_failed_within_the_last_minute_go_last() {
        let failed = FailedAddresses::default();
        failed.note(address(1), at(0));
        let mut addresses = [address(1), address(2), address(3)];
        failed.move_to_end(&mut addresses, at(59_999));
        assert_eq!(addresses, [address(2), address(3), address(1)]);
        addresses.sort();
        failed.move_to_end(&mut addresses, at(60_000));
        assert_eq!(addresses, [address(1), address(2), address(3)]);
    }

    fn is_avoided(failed: &FailedAddresses, address: SocketAddr, now: Time) -> bool {
        let another = SocketAddr::from(([192, 0, 2, 1], 80));
        let mut addresses = [address, another];
        failed.move_to_end(&mut addresses, now);
        addresses == [another, address]
    }

    #[test]
    fn an_address_that_was_reached_is_not_avoided() {
        let failed = FailedAddresses::default();
        failed.note(address(1), at(0));
        failed.note(address(2), at(0));
        failed.forget(&address(1));
        assert!(!is_avoided(&failed, address(1), at(1)));
        assert!(is_avoided(&failed, address(2), at(1)));
    }

    #[test]
    fn room_is_made_by_those_whose_minute_is_over() {
        let failed = FailedAddresses::default();
        let numbered = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let ports = 1..=MOST_ADDRESSES as u16;
        for port in ports.clone() {
            let noted = if port % 2 == 0 { 0 } else { 30_000 };
            failed.note(numbered(port), at(noted));
        }
        failed.note(address(2), at(60_000));
        assert!(is_avoided(&failed, address(2), at(60_000)));
        let is_kept = |port: &u16| is_avoided(&failed, numbered(*port), at(60_000));
        assert_eq!(ports.filter(is_kept).count(), MOST_ADDRESSES / 2);
    }
}
