//! The throughput of partitions: a bucket of units for each, as in `AwsLike`. A bucket is charged after a request, so it may go
//! below zero, and later requests wait for it.

use crate::events::Time;

#[derive(Debug, Clone)]
struct Bucket {
    units: f64,
    at: Time,
}

/// The partitions of the table, or of an index.
#[derive(Debug)]
pub(crate) struct Partitions {
    buckets: Vec<Bucket>,
    each_second: f64,
    /// For how many seconds unused units are kept.
    burst: f64,
}

impl Partitions {
    pub(crate) fn new(number: usize, each_second: f64, burst: f64) -> Self {
        let full = Bucket { units: each_second * burst, at: 0 };
        Self { buckets: vec![full; number.max(1)], each_second, burst }
    }

    /// Returns the partition of a hash key.
    pub(crate) fn of(&self, hash: u64) -> usize {
        // The numbers of tasks and shards are consecutive; a partition of DynamoDB takes a hash of them.
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 32) as usize % self.buckets.len()
    }

    /// Returns a bucket as it is now.
    fn bucket(&mut self, partition: usize, now: Time) -> &mut Bucket {
        let (each_second, full) = (self.each_second, self.each_second * self.burst);
        let bucket = &mut self.buckets[partition];
        bucket.units = full.min(bucket.units + now.saturating_sub(bucket.at) as f64 / 1e6 * each_second);
        bucket.at = bucket.at.max(now);
        bucket
    }

    pub(crate) fn has_units(&mut self, partition: usize, now: Time) -> bool {
        self.bucket(partition, now).units > 0.0
    }

    pub(crate) fn take(&mut self, partition: usize, units: f64, now: Time) {
        self.bucket(partition, now).units -= units;
    }
}
