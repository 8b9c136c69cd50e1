//! Computes figures from measurements, without I/O.

use indicatif::HumanFloatCount;

use super::common::median::median;
use super::probe::{Spent, Units};

/// A number of requests, and the sum of their capacity units.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) requests: f64,
    pub(crate) table: f64,
    pub(crate) index: f64,
}

impl Cost {
    pub(crate) fn of(spent: &[Spent]) -> Self {
        spent.iter().fold(Self::default(), |sum, spent| {
            let Units { table, index } = spent.units.unwrap_or_default();
            Self { requests: sum.requests + 1.0, table: sum.table + table, index: sum.index + index }
        })
    }

    pub(crate) fn units(&self) -> f64 {
        self.table + self.index
    }

    /// Divides the cost by the number of operations.
    pub(crate) fn for_each_of(&self, many: u32) -> Self {
        let share = |of: f64| of / f64::from(many);
        Self { requests: share(self.requests), table: share(self.table), index: share(self.index) }
    }
}

/// The medians of one point over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    pub(crate) median: f64,
    /// The median of the ratios to the first point of the same round.
    pub(crate) ratio: f64,
}

/// Computes the growth at each point from values by round and then by point.
pub(crate) fn growth(rounds: &[Vec<f64>]) -> Vec<Growth> {
    let points = rounds.first().map_or(0, Vec::len);
    let over = |of: &dyn Fn(&Vec<f64>) -> f64| median(rounds.iter().map(of).collect());
    let at = |nth: usize| Growth {
        median: over(&|round| round[nth]),
        ratio: over(&|round| round[nth] / round[0]),
    };
    (0..points).map(at).collect()
}

/// Returns the order in which a round visits the points: forwards in even rounds and backwards in odd rounds, so that a
/// drift of the machine favours no point.
pub(crate) fn visits(points: usize, round: u32) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..points).collect() } else { (0..points).rev().collect() }
}

/// Formats a whole number with thousands separators.
pub(crate) fn grouped(number: f64) -> String {
    format!("{:.0}", HumanFloatCount(number))
}

/// Formats a number of rounds.
pub(crate) fn rounds(rounds: u32) -> String {
    if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") }
}
