//! What a pool remembers of names and addresses: answers for a while, and which addresses failed of late.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::sync::Mutex;
use crate::values::clock::Time;
use crate::values::error::Error;

/// So many names, and so many addresses, are remembered.
const MOST: usize = 1024;
/// That a name does not exist is believed for so long at the most.
const NEGATIVE_FOR: Duration = Duration::from_secs(5);
/// An address that failed is tried last for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// The addresses of a name, or that it has none.
pub(crate) type Answer = std::result::Result<Vec<SocketAddr>, Error>;

#[derive(Debug, Default)]
struct Known {
    answers: BTreeMap<String, (Time, Answer)>,
    failed: BTreeMap<SocketAddr, Time>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache {
    /// How long an answer serves; zero: not at all.
    serves: Duration,
    /// Guards itself alone.
    known: Mutex<Option<Box<Known>>>,
}

/// Makes room for one more entry: drops what has expired, else what was noted first.
fn make_room<K: Clone + Ord, V>(
    map: &mut BTreeMap<K, V>,
    noted: impl Fn(&V) -> Time,
    expired: impl Fn(&V) -> bool,
) {
    if map.len() < MOST {
        return;
    }
    map.retain(|_, value| !expired(value));
    if map.len() >= MOST {
        let oldest = map
            .iter()
            .min_by_key(|(_, value)| noted(value))
            .map(|(key, _)| key.clone());
        oldest.and_then(|key| map.remove(&key));
    }
}

impl Cache {
    pub(crate) fn new(serves: Duration) -> Self {
        Self {
            serves,
            known: Mutex::new(None),
        }
    }

    fn lifetime(&self, answer: &Answer) -> Duration {
        match answer {
            Ok(addresses) if !addresses.is_empty() => self.serves,
            _ => self.serves.min(NEGATIVE_FOR),
        }
    }

    /// A remembered answer.
    pub(crate) fn answer(&self, name: &str, now: Time) -> Option<Answer> {
        let known = self.known.lock();
        let (since, answer) = known.as_ref()?.answers.get(name)?;
        (since.after(self.lifetime(answer)) > now).then(|| answer.clone())
    }

    /// Remembers an answer. A failure is given only if the name does not exist.
    pub(crate) fn remember(&self, name: &str, answer: &Answer, now: Time) {
        if self.serves.is_zero() {
            return;
        }
        let mut known = self.known.lock();
        let answers = &mut known.get_or_insert_default().answers;
        make_room(
            answers,
            |(since, _)| *since,
            |(since, answer)| since.after(self.lifetime(answer)) <= now,
        );
        answers.insert(name.to_owned(), (now, answer.clone()));
    }

    /// An address failed, or had not answered when another one won.
    pub(crate) fn failed(&self, address: SocketAddr, now: Time) {
        let mut known = self.known.lock();
        let failed = &mut known.get_or_insert_default().failed;
        make_room(
            failed,
            |since| *since,
            |since| since.after(AVOIDED_FOR) <= now,
        );
        failed.insert(address, now);
    }

    /// An address was connected to.
    pub(crate) fn succeeded(&self, address: &SocketAddr) {
        if let Some(known) = self.known.lock().as_mut() {
            known.failed.remove(address);
        }
    }

    /// Puts those that failed within the last minute behind the others, each group in its order.
    pub(crate) fn avoid_failed(&self, addresses: &mut [SocketAddr], now: Time) {
        let known = self.known.lock();
        let Some(known) = known.as_ref() else {
            return;
        };
        addresses.sort_by_key(|one| {
            known
                .failed
                .get(one)
                .is_some_and(|since| since.after(AVOIDED_FOR) > now)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::error::Status;

    fn at(ms: u64) -> Time {
        Time::from_nanos((1_000 + ms) * 1_000_000)
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[test]
    fn an_answer_serves_for_as_long_as_the_pool_says() {
        let cache = Cache::new(Duration::from_secs(30));
        cache.remember("a", &Ok(vec![address(1)]), at(0));
        assert_eq!(cache.answer("a", at(29_999)), Some(Ok(vec![address(1)])));
        assert_eq!(cache.answer("a", at(30_000)), None);
        assert_eq!(cache.answer("b", at(0)), None);
    }

    #[test]
    fn that_there_is_no_such_name_serves_for_five_seconds() {
        let cache = Cache::new(Duration::from_secs(30));
        for none in [Err(Error::new(Status::Resolve, "none")), Ok(vec![])] {
            cache.remember("a", &none, at(0));
            assert!(cache.answer("a", at(4_999)).is_some());
            assert!(cache.answer("a", at(5_000)).is_none());
        }
    }

    #[test]
    fn without_a_time_nothing_is_remembered() {
        let cache = Cache::new(Duration::ZERO);
        cache.remember("a", &Ok(vec![address(1)]), at(0));
        assert_eq!(cache.answer("a", at(0)), None);
    }

    #[test]
    fn addresses_that_failed_within_the_last_minute_go_last() {
        let cache = Cache::new(Duration::ZERO);
        cache.failed(address(1), at(0));
        let mut addresses = [address(1), address(2), address(3)];
        cache.avoid_failed(&mut addresses, at(59_999));
        assert_eq!(addresses, [address(2), address(3), address(1)]);
        addresses.sort();
        cache.avoid_failed(&mut addresses, at(60_000));
        assert_eq!(addresses, [address(1), address(2), address(3)]);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let cache = Cache::new(Duration::from_secs(3600));
        for number in 0..=MOST as u64 {
            cache.remember(&number.to_string(), &Ok(vec![address(1)]), at(number));
        }
        assert_eq!(cache.answer("0", at(2_000)), None);
        assert!(cache.answer("1", at(2_000)).is_some());
        assert_eq!(
            cache.known.lock().as_ref().map(|known| known.answers.len()),
            Some(MOST)
        );
    }
}
