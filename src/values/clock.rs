//! Points in time and deadlines. No clock is read here: `sys::clock` does that, at the edges.
#![forbid(unsafe_code)]

use std::time::Duration;

const NANOS_PER_MS: u64 = 1_000_000;

/// Nanoseconds on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Time(u64);

impl Time {
    /// Later than every time that is ever read.
    pub(crate) const NEVER: Time = Time(u64::MAX);

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not in the past.
    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time and so much later, NEVER at the most.
    pub(crate) fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// In milliseconds, rounded down.
    pub(crate) fn millis(self) -> i64 {
        (self.0 / NANOS_PER_MS) as i64
    }
}

/// Until when something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Time);

impl Deadline {
    pub(crate) const NEVER: Deadline = Deadline(Time::NEVER);

    pub(crate) const fn at(time: Time) -> Self {
        Self(time)
    }

    /// At so many milliseconds of the clock; what is below zero has passed.
    pub(crate) fn at_ms(ms: i64) -> Self {
        let ms = u64::try_from(ms).unwrap_or(0);
        Self(Time(ms.saturating_mul(NANOS_PER_MS)))
    }

    /// So long after `now`; `None`: never.
    pub(crate) fn from_timeout(now: Time, timeout: Option<Duration>) -> Self {
        timeout.map_or(Self::NEVER, |timeout| Self(now.after(timeout)))
    }

    /// `None` if there is none.
    pub(crate) fn time(self) -> Option<Time> {
        (self.0 != Time::NEVER).then_some(self.0)
    }

    pub(crate) fn has_passed(self, now: Time) -> bool {
        self.0 <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_has_passed_and_none_never_does() {
        let now = Time::from_nanos(5);
        let after = |ms| Deadline::from_timeout(now, Some(Duration::from_millis(ms)));
        assert!(after(0).has_passed(now));
        assert!(!after(1).has_passed(now));
        assert_eq!(Deadline::from_timeout(now, None), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.time(), None);
    }

    #[test]
    fn an_absolute_time_below_zero_has_passed() {
        let now = Time::from_nanos(2_000_000);
        assert!(Deadline::at_ms(i64::MIN).has_passed(now));
        assert!(Deadline::at_ms(2).has_passed(now));
        assert!(!Deadline::at_ms(3).has_passed(now));
        assert!(!Deadline::at_ms(i64::MAX - 1).has_passed(now));
    }

    #[test]
    fn the_longest_timeout_does_not_wrap() {
        let deadline =
            Deadline::from_timeout(Time::from_nanos(1), Some(Duration::from_millis(u64::MAX)));
        assert!(!deadline.has_passed(Time::from_nanos(u64::MAX - 1)));
    }
}
