//! The throughput of partitions: a bucket of units for each, with a burst.

use std::collections::HashMap;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::conditions::Throughput;

/// What a partition is read or written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Read,
    Write,
}

/// A place in a table or in an index: everything with one hash key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) table: String,
    /// The name of the index; `None` for the table itself.
    pub(super) index: Option<String>,
    /// The hash key, as text; `None` for every partition, as a scan has.
    pub(super) hash: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Partition {
    table: String,
    index: Option<String>,
    nth: u64,
    direction: Direction,
}

#[derive(Debug)]
struct Bucket {
    units: f64,
    at: Duration,
}

/// The buckets of all partitions. They are charged after a request, so a bucket may go below zero, and later requests wait for it.
#[derive(Debug, Default)]
pub(super) struct Partitions(HashMap<Partition, Bucket>);

impl Partitions {
    /// Returns whether a partition of a place has no units left.
    pub(super) fn is_exhausted(
        &mut self,
        throughput: &Throughput,
        place: &Place,
        direction: Direction,
        now: Duration,
    ) -> bool {
        partitions(throughput, place, direction)
            .any(|partition| self.bucket(throughput, partition, now).units <= 0.0)
    }

    /// Takes units from the partitions of a place.
    pub(super) fn take(
        &mut self,
        throughput: &Throughput,
        place: &Place,
        direction: Direction,
        now: Duration,
        units: f64,
    ) {
        let of_each =
            if place.hash.is_some() { units } else { units / f64::from(throughput.partitions.max(1)) };
        for partition in partitions(throughput, place, direction) {
            self.bucket(throughput, partition, now).units -= of_each;
        }
    }

    /// Returns a bucket as it is now.
    fn bucket(&mut self, throughput: &Throughput, partition: Partition, now: Duration) -> &mut Bucket {
        let each_second = match partition.direction {
            Direction::Read => throughput.read_units,
            Direction::Write => throughput.write_units,
        };
        // A second's units can be used at once, also without a burst.
        let full = each_second * throughput.burst.as_secs_f64().max(1.0);
        let bucket = self.0.entry(partition).or_insert(Bucket { units: full, at: now });
        let more = now.saturating_sub(bucket.at).as_secs_f64() * each_second;
        bucket.units = (bucket.units + more).min(full);
        bucket.at = now;
        bucket
    }
}

/// Returns the partitions of a place: one, or all of them.
fn partitions(
    throughput: &Throughput,
    place: &Place,
    direction: Direction,
) -> impl Iterator<Item = Partition> + use<> {
    let all = u64::from(throughput.partitions.max(1));
    let some = match &place.hash {
        Some(hash) => {
            let nth = xxh3_64(hash.as_bytes()) % all;
            nth..nth + 1
        }
        None => 0..all,
    };
    let (table, index) = (place.table.clone(), place.index.clone());
    some.map(move |nth| Partition { table: table.clone(), index: index.clone(), nth, direction })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn place(hash: Option<&str>) -> Place {
        Place { table: "tasks".to_owned(), index: None, hash: hash.map(str::to_owned) }
    }

    #[test]
    fn a_partition_has_its_burst_and_then_its_rate() {
        let throughput = Throughput { burst: 10 * SECOND, ..Throughput::default() };
        let (mut partitions, place) = (Partitions::default(), place(Some("a")));
        let mut granted = 0;
        let mut spend = |now: Duration| {
            let begin = granted;
            while !partitions.is_exhausted(&throughput, &place, Direction::Write, now) {
                partitions.take(&throughput, &place, Direction::Write, now, 1.0);
                granted += 1;
            }
            granted - begin
        };
        assert_eq!(spend(SECOND), 10_000, "what a new partition has");
        assert_eq!(spend(SECOND), 0);
        assert_eq!(spend(2 * SECOND), 1000);
        assert_eq!(spend(100 * SECOND), 10_000, "no more than the burst");
        let reads = partitions.is_exhausted(&throughput, &place, Direction::Read, 100 * SECOND);
        assert!(!reads, "reads have units of their own");
    }

    #[test]
    fn a_debt_is_paid_before_the_next_request() {
        let throughput = Throughput { burst: Duration::ZERO, ..Throughput::default() };
        let (mut partitions, place) = (Partitions::default(), place(Some("a")));
        partitions.take(&throughput, &place, Direction::Write, SECOND, 2500.0);
        for (now, expected) in [(1000, true), (2000, true), (2499, true), (2502, false)] {
            let now = Duration::from_millis(now);
            let exhausted = partitions.is_exhausted(&throughput, &place, Direction::Write, now);
            assert_eq!(exhausted, expected, "{now:?}");
        }
    }

    #[test]
    fn a_scan_takes_from_all_partitions_and_waits_for_each() {
        let throughput = Throughput { burst: SECOND, ..Throughput::default() };
        let mut partitions = Partitions::default();
        partitions.take(&throughput, &place(None), Direction::Read, SECOND, 8000.0);
        let one = place(Some("a"));
        assert!(!partitions.is_exhausted(&throughput, &one, Direction::Read, SECOND));
        partitions.take(&throughput, &one, Direction::Read, SECOND, 1000.0);
        assert!(partitions.is_exhausted(&throughput, &one, Direction::Read, SECOND));
        assert!(partitions.is_exhausted(&throughput, &place(None), Direction::Read, SECOND));
    }
}
