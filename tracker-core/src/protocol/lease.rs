//! The holder's view of its lease: the times that the holder writes, and its deadline.

use std::time::Duration;

use crate::time::{ClockReading, Timestamp};

/// A time that a write sends, with the monotonic clock that was read with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) time: Timestamp,
    pub(crate) monotonic: Duration,
}

impl Reading {
    /// Returns the time to send next: the clock's, or 1 µs after the last sent time if that is later.
    pub(crate) fn after_all(sent: &[Self], now: ClockReading) -> Self {
        let reading = Self::from(now);
        match sent.last() {
            Some(last) => Self { time: reading.time.after(last.time), ..reading },
            None => reading,
        }
    }
}

impl From<ClockReading> for Reading {
    fn from(now: ClockReading) -> Self {
        Self { time: now.into(), monotonic: now.monotonic }
    }
}

/// A lease, as its holder knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    expire: Duration,
    /// The last acknowledged write. The deadline counts from its time.
    acknowledged: Reading,
    /// The latest time that was sent or seen, acknowledged or not.
    sent: Timestamp,
}

impl Lease {
    /// Returns the lease of a start that sent these times: it begins with the time that is stored, or with the first
    /// time if none of them is known to be stored. Returns none if nothing was sent.
    pub(crate) fn granted(sent: &[Reading], stored: Option<Timestamp>, expire: Duration) -> Option<Self> {
        let applied = sent.iter().find(|reading| Some(reading.time) == stored).or(sent.first())?;
        Some(Self { expire, acknowledged: *applied, sent: sent.last()?.time })
    }

    /// Returns the latest time that was sent or seen.
    pub(crate) fn sent(&self) -> Timestamp {
        self.sent
    }

    /// Takes note of a time of this lease that the item holds: the next time will be later.
    pub(crate) fn seen(&mut self, stored: Timestamp) {
        self.sent = self.sent.max(stored);
    }

    /// Returns the time to write next: the clock's, or 1 µs after the latest time that was sent or seen if that is
    /// later.
    pub(crate) fn next(&mut self, now: ClockReading) -> Reading {
        let reading = Reading::from(now);
        self.sent = reading.time.after(self.sent);
        Reading { time: self.sent, ..reading }
    }

    /// Counts the deadline from an acknowledged write, unless a later write was acknowledged before.
    ///
    /// The monotonic part advances by no more than the written time, because other workers judge by the written time.
    /// After a wall clock was set back, the holder would otherwise believe in a longer lease than they see.
    pub(crate) fn acknowledge(&mut self, written: Reading) {
        if written.time > self.acknowledged.time {
            let moved = written.time.since(self.acknowledged.time);
            let monotonic = written.monotonic.min(self.acknowledged.monotonic.saturating_add(moved));
            self.acknowledged = Reading { time: written.time, monotonic };
        }
    }

    /// Returns whether the lease has expired, by the wall clock or the monotonic clock, whichever is first.
    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.remaining(now).is_zero()
    }

    /// Returns how long the lease lasts; zero if it has expired.
    pub(crate) fn remaining(&self, now: ClockReading) -> Duration {
        let wall = self.acknowledged.time.plus(self.expire).since(now.into());
        let monotonic = self.acknowledged.monotonic.saturating_add(self.expire);
        wall.min(monotonic.saturating_sub(now.monotonic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRE: Duration = Duration::from_mins(5);

    fn at(wall: u64, monotonic: u64) -> ClockReading {
        ClockReading {
            wall: Timestamp::EPOCH.plus(Duration::from_secs(1_000_000 + wall)).utc(),
            monotonic: Duration::from_secs(monotonic),
        }
    }

    fn lease() -> Lease {
        Lease::granted(&[at(0, 0).into()], None, EXPIRE).unwrap()
    }

    #[test]
    fn lease_ends_when_either_clock_reaches_the_deadline() {
        assert!(!lease().has_passed(at(299, 299)));
        assert!(lease().has_passed(at(300, 299)));
        assert!(lease().has_passed(at(299, 300)));
        assert!(lease().has_passed(at(0, 300)), "the wall clock stood still");
        assert_eq!(lease().remaining(at(100, 200)), Duration::from_secs(100));
    }

    #[test]
    fn only_an_acknowledged_write_moves_the_deadline() {
        let mut lease = lease();
        let renewed = lease.next(at(200, 200));
        assert!(lease.has_passed(at(300, 300)), "sent, but not acknowledged");
        lease.acknowledge(renewed);
        assert!(!lease.has_passed(at(499, 499)));
        assert!(lease.has_passed(at(500, 499)));
        lease.acknowledge(at(100, 100).into());
        assert!(!lease.has_passed(at(499, 499)), "an older answer does not shorten the lease");
    }

    #[test]
    fn wall_clock_that_was_set_back_does_not_lengthen_the_lease() {
        let mut lease = lease();
        // The clocks of other workers go with the monotonic one: to them, a lease renewed at 100 expires at 400.
        let renewed = lease.next(at(100, 200));
        lease.acknowledge(renewed);
        assert!(lease.has_passed(at(300, 400)));
        assert!(!lease.has_passed(at(299, 399)));
    }

    #[test]
    fn lease_begins_with_the_time_that_was_applied() {
        let sent = [at(0, 0).into(), at(100, 100).into()];
        let granted = |stored| Lease::granted(&sent, stored, EXPIRE).unwrap().remaining(at(100, 100));
        assert_eq!(granted(Some(sent[1].time)), EXPIRE);
        assert_eq!(granted(Some(sent[0].time)), Duration::from_secs(200));
        assert_eq!(
            granted(None),
            Duration::from_secs(200),
            "the first time counts if none is known to be stored"
        );
        assert_eq!(Lease::granted(&[], None, EXPIRE), None);
    }

    #[test]
    fn times_grow_although_the_clock_stands_still() {
        let mut lease = lease();
        let first = lease.next(at(0, 1)).time;
        let second = lease.next(at(0, 2)).time;
        assert!(Timestamp::from(at(0, 0)) < first && first < second);
        assert_eq!(second.since(first), Duration::from_micros(1));
    }
}
