//! Samples by their median, least and most.

use serde::Serialize;
use statrs::statistics::{Data, Max, Min, OrderStatistics};

/// What a table shows of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Statistics {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Statistics {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut data = Data::new(samples.to_vec());
        Self {
            median: data.median(),
            min: data.min(),
            max: data.max(),
        }
    }

    /// Of ratios, sample by sample: each round's pair met the same machine.
    pub(crate) fn of_ratios(of: &[f64], to: &[f64]) -> Self {
        let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
        Self::of(&ratios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_pairs() {
        let ratios = Statistics::of_ratios(&[2.0, 9.0, 8.0], &[1.0, 3.0, 2.0]);
        let expected = Statistics {
            median: 3.0,
            min: 2.0,
            max: 4.0,
        };
        assert_eq!(ratios, expected);
    }
}
