//! A pool's memory of names: answers serve for a while, so that not every dial asks.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::dial::bounded::make_room;
use crate::sync::Mutex;
use crate::values::clock::Time;
use crate::values::error::Error;

/// Names that are remembered at the most.
const MOST_ANSWERS: usize = 1024;
/// That a name does not exist is believed for so long at the most.
const NEGATIVE_FOR: Duration = Duration::from_secs(5);

/// The addresses of a name, or that it has none.
pub(crate) type CachedAnswer = std::result::Result<Vec<SocketAddr>, Error>;

/// Answers by name, each with the time at which it came.
#[derive(Debug)]
pub(crate) struct AnswerCache {
    /// How long an answer serves; zero: not at all.
    serves: Duration,
    /// Guards itself alone.
    answers: Mutex<BTreeMap<String, (Time, CachedAnswer)>>,
}

impl AnswerCache {
    pub(crate) fn new(serves: Duration) -> Self {
        Self {
            serves,
            answers: Mutex::default(),
        }
    }

    fn lifetime(&self, answer: &CachedAnswer) -> Duration {
        match answer {
            Ok(addresses) if !addresses.is_empty() => self.serves,
            _ => self.serves.min(NEGATIVE_FOR),
        }
    }

    /// The remembered answer, if it still serves.
    pub(crate) fn answer(&self, name: &str, now: Time) -> Option<CachedAnswer> {
        let answers = self.answers.lock();
        let (since, answer) = answers.get(name)?;
        (since.after(self.lifetime(answer)) > now).then(|| answer.clone())
    }

    /// Remembers an answer. A failure is given only if the name does not exist.
    pub(crate) fn remember(&self, name: &str, answer: &CachedAnswer, now: Time) {
        if self.serves.is_zero() {
            return;
        }
        let mut answers = self.answers.lock();
        make_room(
            &mut answers,
            MOST_ANSWERS,
            |(since, _)| *since,
            |(since, answer)| since.after(self.lifetime(answer)) <= now,
        );
        answers.insert(name.to_owned(), (now, answer.clone()));
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
        let cache = AnswerCache::new(Duration::from_secs(30));
        cache.remember("a", &Ok(vec![address(1)]), at(0));
        assert_eq!(cache.answer("a", at(29_999)), Some(Ok(vec![address(1)])));
        assert_eq!(cache.answer("a", at(30_000)), None);
        assert_eq!(cache.answer("b", at(0)), None);
    }

    #[test]
    fn that_there_is_no_such_name_serves_for_five_seconds() {
        let cache = AnswerCache::new(Duration::from_secs(30));
        for none in [Err(Error::new(Status::Resolve, "none")), Ok(vec![])] {
            cache.remember("a", &none, at(0));
            assert!(cache.answer("a", at(4_999)).is_some());
            assert!(cache.answer("a", at(5_000)).is_none());
        }
    }

    #[test]
    fn without_a_time_nothing_is_remembered() {
        let cache = AnswerCache::new(Duration::ZERO);
        cache.remember("a", &Ok(vec![address(1)]), at(0));
        assert_eq!(cache.answer("a", at(0)), None);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let cache = AnswerCache::new(Duration::from_secs(3600));
        for number in 0..=MOST_ANSWERS as u64 {
            cache.remember(&number.to_string(), &Ok(vec![address(1)]), at(number));
        }
        assert_eq!(cache.answer("0", at(2_000)), None);
        assert!(cache.answer("1", at(2_000)).is_some());
        assert_eq!(cache.answers.lock().len(), MOST_ANSWERS);
    }
}
