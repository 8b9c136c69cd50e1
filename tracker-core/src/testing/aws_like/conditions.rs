//! The conditions that `AwsLike` simulates.

use std::time::Duration;

use crate::testing::NetworkError;

/// How adverse a service is. [`AwsLike`](super::AwsLike) draws from it.
///
/// [`usual`](Self::usual) is an ordinary day, [`bad_day`](Self::bad_day) has more of everything, and
/// [`none`](Self::none) has nothing of it. Change single fields of them.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use tracker_core::testing::{Conditions, Spread};
/// let mut conditions = Conditions::usual();
/// conditions.seed = 42;
/// conditions.index_lag = Spread::up_to(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Conditions {
    /// The seed of all that is drawn.
    pub seed: u64,
    /// How long after a write an index shows it. Each entry of an index has a lag of its own. So an item that moves from one
    /// partition of an index to another is for a while in both or in none.
    pub index_lag: Spread,
    /// How long after a write the replica shows it that answers stale reads.
    pub replica_lag: Spread,
    /// How long after `CreateTable` a `DescribeTable` request still says that the table does not exist.
    pub definition_lag: Spread,
    /// The part of the eventually consistent reads of a table that the lagging replica answers, from 0 to 1. One of the three
    /// replicas of a partition may lag.
    pub stale_reads: f64,
    /// How long a response takes, beyond what the database itself takes.
    pub latency: Spread,
    /// The probability of each member of a batch to come back unprocessed, or throttled if it is a statement; from 0 to 1. At least
    /// one member of a batch is processed.
    pub unprocessed: f64,
    /// The probability of any request to be throttled, although its partitions have units left; from 0 to 1.
    pub throttled: f64,
    /// What a partition of the table or of an index can do; `None` for any number of requests.
    pub throughput: Option<Throughput>,
    /// After this time without a request, the connections of a pool die silently; `None` for never.
    ///
    /// The next request gets no response, and fails after the client's read timeout; without a read timeout it waits for ever. A NAT
    /// gateway of AWS does this after 350 seconds.
    pub idle_timeout: Option<Duration>,
    /// The probability of any request to be refused with `RequestTimeTooSkewed`; from 0 to 1.
    pub clock_refused: f64,
    /// The probability of any request to be refused because its credentials have expired; from 0 to 1.
    pub credentials_expired: f64,
}

impl Conditions {
    /// Returns conditions in which nothing is adverse.
    ///
    /// What always differs between AWS and emulators stays: see [`AwsLike`](super::AwsLike).
    #[must_use]
    pub fn none() -> Self {
        Self {
            seed: 0,
            index_lag: Spread::none(),
            replica_lag: Spread::none(),
            definition_lag: Spread::none(),
            stale_reads: 0.0,
            latency: Spread::none(),
            unprocessed: 0.0,
            throttled: 0.0,
            throughput: None,
            idle_timeout: None,
            clock_refused: 0.0,
            credentials_expired: 0.0,
        }
    }

    /// Returns the conditions of an ordinary day: everything lags a little, one member of a batch in a thousand comes back,
    /// partitions have their limits, and no request is refused for its clock or its credentials.
    #[must_use]
    pub fn usual() -> Self {
        let millis = Duration::from_millis;
        Self {
            index_lag: Spread::new(millis(10), millis(100), millis(1000)),
            replica_lag: Spread::new(millis(5), millis(50), millis(500)),
            definition_lag: Spread::new(millis(5), millis(500), millis(2000)),
            stale_reads: 1.0 / 3.0,
            latency: Spread::new(millis(3), millis(20), millis(200)),
            unprocessed: 0.001,
            throughput: Some(Throughput::default()),
            idle_timeout: Some(Duration::from_secs(350)),
            ..Self::none()
        }
    }

    /// Returns the conditions of a bad day: an index lags by seconds, members of batches come back, requests are throttled, and
    /// some are refused for their clock or their credentials.
    #[must_use]
    pub fn bad_day() -> Self {
        let millis = Duration::from_millis;
        Self {
            index_lag: Spread::new(millis(100), millis(2000), millis(5000)),
            replica_lag: Spread::new(millis(50), millis(500), millis(2000)),
            definition_lag: Spread::new(millis(100), millis(3000), millis(10_000)),
            latency: Spread::new(millis(5), millis(100), millis(1000)),
            unprocessed: 0.05,
            throttled: 0.01,
            clock_refused: 0.002,
            credentials_expired: 0.002,
            ..Self::usual()
        }
    }

    /// Refuses what has no meaning, such as 5 for five percent.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let refused = |field, value, allowed| Err(NetworkError::Condition { field, value, allowed });
        let probabilities = [
            ("stale_reads", self.stale_reads),
            ("unprocessed", self.unprocessed),
            ("throttled", self.throttled),
            ("clock_refused", self.clock_refused),
            ("credentials_expired", self.credentials_expired),
        ];
        for (field, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                return refused(field, value, "a probability, from 0 to 1");
            }
        }
        let throughput = self.throughput.unwrap_or_default();
        for (field, value) in [("write_units", throughput.write_units), ("read_units", throughput.read_units)]
        {
            if !(value.is_finite() && value > 0.0) {
                return refused(field, value, "a number above 0");
            }
        }
        if throughput.partitions == 0 {
            return refused("partitions", 0.0, "1 or more");
        }
        Ok(())
    }
}

/// A distribution of times with a tail: half are shorter than the median, 99 of 100 shorter than `p99`, and all at most
/// `longest`. Between these points it is even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spread {
    /// Half of the times are shorter.
    pub median: Duration,
    /// 99 of 100 times are shorter.
    pub p99: Duration,
    /// No time is longer.
    pub longest: Duration,
}

impl Spread {
    /// Returns a distribution from its points. A point below the one before is raised to it.
    #[must_use]
    pub fn new(median: Duration, p99: Duration, longest: Duration) -> Self {
        let p99 = p99.max(median);
        Self { median, p99, longest: longest.max(p99) }
    }

    /// Returns a distribution in which every time is zero.
    #[must_use]
    pub fn none() -> Self {
        Self::up_to(Duration::ZERO)
    }

    /// Returns an even distribution from zero to `longest`.
    #[must_use]
    pub fn up_to(longest: Duration) -> Self {
        Self { median: longest / 2, p99: longest.mul_f64(0.99), longest }
    }

    /// Returns the time at a point between 0 and 1.
    pub(super) fn at(self, point: f64) -> Duration {
        let between = |from: Duration, to: Duration, part: f64| from + to.saturating_sub(from).mul_f64(part);
        match point {
            ..0.5 => self.median.mul_f64((point * 2.0).max(0.0)),
            0.5..0.99 => between(self.median, self.p99, (point - 0.5) / 0.49),
            _ => between(self.p99, self.longest, ((point - 0.99) / 0.01).clamp(0.0, 1.0)),
        }
    }
}

/// What one partition can do, and how many partitions there are.
///
/// The numbers are those of [AWS](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html).
/// Each hash key belongs to one partition, chosen by its hash.
///
/// # Examples
///
/// Partitions that throttle after a second's units:
///
/// ```
/// # use std::time::Duration;
/// # use tracker_core::testing::{Conditions, Throughput};
/// let mut units = Throughput::default();
/// units.burst = Duration::ZERO;
/// let mut conditions = Conditions::none();
/// conditions.throughput = Some(units);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Throughput {
    /// Write units a second; 1,000 by default.
    pub write_units: f64,
    /// Read units a second; 3,000 by default.
    pub read_units: f64,
    /// How long unused units are kept for a burst; 300 seconds by default. A partition begins with all of them.
    pub burst: Duration,
    /// The partitions of the table, and of each index; 4 by default, as a new on-demand table has.
    pub partitions: u32,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { write_units: 1000.0, read_units: 3000.0, burst: Duration::from_mins(5), partitions: 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_goes_through_its_points() {
        let millis = Duration::from_millis;
        let spread = Spread::new(millis(10), millis(100), millis(1000));
        for (point, expected) in
            [(0.0, 0), (0.25, 5), (0.5, 10), (0.99, 100), (0.995, 550), (1.0, 1000), (2.0, 1000), (-1.0, 0)]
        {
            let difference = spread.at(point).abs_diff(millis(expected));
            assert!(difference < Duration::from_micros(10), "{point}: {:?}", spread.at(point));
        }
        assert_eq!(
            Spread::new(millis(10), millis(1), millis(5)),
            Spread::new(millis(10), millis(10), millis(10))
        );
        assert_eq!(Spread::none().at(0.7), Duration::ZERO);
    }
}
