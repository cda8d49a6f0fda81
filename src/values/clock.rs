//! Points in time and deadlines. No clock is read here: `sys::clock` does that, at the edges.
#![forbid(unsafe_code)]

use std::time::Duration;

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

    /// This time and so many milliseconds later; a negative number counts as none.
    pub(crate) fn after_ms(self, ms: i64) -> Self {
        self.after(Duration::from_millis(ms.max(0) as u64))
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

    /// So long after `now`; `timeout_ms` < 0 means without an end, as everywhere in the C contract.
    pub(crate) fn from_timeout(now: Time, timeout_ms: i64) -> Self {
        if timeout_ms < 0 {
            Self::NEVER
        } else {
            Self(now.after_ms(timeout_ms))
        }
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
    fn a_timeout_of_zero_has_passed_and_a_negative_one_never_does() {
        let now = Time::from_nanos(5);
        assert!(Deadline::from_timeout(now, 0).has_passed(now));
        assert!(!Deadline::from_timeout(now, 1).has_passed(now));
        assert_eq!(Deadline::from_timeout(now, -1), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.time(), None);
    }

    #[test]
    fn the_longest_timeout_does_not_wrap() {
        let deadline = Deadline::from_timeout(Time::from_nanos(1), i64::MAX);
        assert!(!deadline.has_passed(Time::from_nanos(u64::MAX - 1)));
    }
}
