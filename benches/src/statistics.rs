//! Samples by their median, least and most. No more statistics than these.

use serde::Serialize;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Statistics {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Statistics {
    /// Of at least one sample; the median of an even number is the mean of the middle two.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let below = if sorted.len() % 2 == 0 {
            middle - 1
        } else {
            middle
        };
        Self {
            median: (sorted[below] + sorted[middle]) / 2.0,
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let statistics = |median, min, max| Statistics { median, min, max };
        assert_eq!(Statistics::of(&[3.0, 1.0, 2.0]), statistics(2.0, 1.0, 3.0));
        assert_eq!(
            Statistics::of(&[4.0, 1.0, 2.0, 3.0]),
            statistics(2.5, 1.0, 4.0)
        );
        assert_eq!(Statistics::of(&[7.0]), statistics(7.0, 7.0, 7.0));
    }
}
