//! Random times.

use crate::events::Time;

/// A distribution of times with a tail: half are shorter than the median, 99 of 100 shorter than `p99`, and all at most
/// `longest`. Between these points it is even. The points are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub median: Time,
    pub p99: Time,
    pub longest: Time,
}

impl Spread {
    #[must_use]
    pub const fn new(median: Time, p99: Time, longest: Time) -> Self {
        Self { median, p99, longest }
    }

    /// Returns a distribution in which every time is the same.
    #[must_use]
    pub const fn always(time: Time) -> Self {
        Self { median: time, p99: time, longest: time }
    }

    pub(crate) fn draw(self, rng: &mut fastrand::Rng) -> Time {
        if self.median == self.longest {
            return self.median;
        }
        let point = rng.f64();
        let between = |from: Time, to: Time, part: f64| from + ((to - from) as f64 * part) as Time;
        match point {
            ..0.5 => between(0, self.median, point * 2.0),
            0.5..0.99 => between(self.median, self.p99, (point - 0.5) / 0.49),
            _ => between(self.p99, self.longest, (point - 0.99) / 0.01),
        }
    }
}

/// Draws the time to the next of events that happen `rate` times a second.
pub(crate) fn gap(rng: &mut fastrand::Rng, rate: f64) -> Time {
    (-(1.0 - rng.f64()).ln() / rate * 1e6) as Time
}
