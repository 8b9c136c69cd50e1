//! What is computed from what was measured. Pure.

use indicatif::HumanFloatCount;

use super::median::median;
use super::probe::{Spent, Units};

/// Requests, and the capacity units of them together.
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

    /// Those of one of so many.
    pub(crate) fn for_each_of(&self, many: u32) -> Self {
        let share = |of: f64| of / f64::from(many);
        Self { requests: share(self.requests), table: share(self.table), index: share(self.index) }
    }
}

/// The medians over the rounds at each point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    pub(crate) median: f64,
    /// Of the ratios to the first point, each in its round.
    pub(crate) ratio: f64,
}

/// The growth from the first point on, of values by round and then by point.
pub(crate) fn growth(rounds: &[Vec<f64>]) -> Vec<Growth> {
    let points = rounds.first().map_or(0, Vec::len);
    let over = |of: &dyn Fn(&Vec<f64>) -> f64| median(rounds.iter().map(of).collect());
    let at = |nth: usize| Growth {
        median: over(&|round| round[nth]),
        ratio: over(&|round| round[nth] / round[0]),
    };
    (0..points).map(at).collect()
}

/// The order in which a round visits the points: forth, and in the next round back, as what drifts favours none then.
pub(crate) fn visits(points: usize, round: u32) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..points).collect() } else { (0..points).rev().collect() }
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: f64) -> String {
    format!("{:.0}", HumanFloatCount(number))
}

/// So many rounds, in words.
pub(crate) fn rounds(rounds: u32) -> String {
    if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") }
}
