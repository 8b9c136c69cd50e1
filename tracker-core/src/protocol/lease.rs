//! The holder's view of its lease: the times that it writes, and its deadline.

use std::time::Duration;

use crate::time::{ClockReading, Timestamp};

/// A time that is written, with the monotonic clock as read together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) time: Timestamp,
    pub(crate) monotonic: Duration,
}

impl Reading {
    /// What to send after the times that were sent before: the clock's, and later than the last of them.
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

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    expire: Duration,
    /// The last write that was acknowledged: the deadline counts from it.
    acknowledged: Reading,
    /// The last time that was sent, acknowledged or not.
    sent: Timestamp,
}

impl Lease {
    /// A lease that began with one of the times that were `sent`: with the one that is `stored`, and with the first
    /// where the item does not tell. `None` where nothing was sent.
    pub(crate) fn granted(sent: &[Reading], stored: Option<Timestamp>, expire: Duration) -> Option<Self> {
        let applied = sent.iter().find(|reading| Some(reading.time) == stored).or(sent.first())?;
        Some(Self { expire, acknowledged: *applied, sent: sent.last()?.time })
    }

    /// The last time that was sent.
    pub(crate) fn sent(&self) -> Timestamp {
        self.sent
    }

    /// Counts a time of ours that is stored among those that were sent.
    pub(crate) fn seen(&mut self, stored: Timestamp) {
        self.sent = self.sent.max(stored);
    }

    /// The time to write next: the clock's, and later than whatever was sent before.
    pub(crate) fn next(&mut self, now: ClockReading) -> Reading {
        let reading = Reading::from(now);
        self.sent = reading.time.after(self.sent);
        Reading { time: self.sent, ..reading }
    }

    /// Counts the deadline from a write that was acknowledged.
    ///
    /// The monotonic part moves on by no more than the time that was written: others go by the latter, and a
    /// wall clock that was set back must not make the holder believe in a longer lease than they see.
    pub(crate) fn acknowledge(&mut self, written: Reading) {
        if written.time > self.acknowledged.time {
            let moved = written.time.since(self.acknowledged.time);
            let monotonic = written.monotonic.min(self.acknowledged.monotonic.saturating_add(moved));
            self.acknowledged = Reading { time: written.time, monotonic };
        }
    }

    /// Whether the lease has run out, by the wall clock or by the monotonic one, whichever is first.
    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.remaining(now).is_zero()
    }

    /// How long the lease lasts.
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
    fn the_clock_that_is_first_ends_the_lease() {
        assert!(!lease().has_passed(at(299, 299)));
        assert!(lease().has_passed(at(300, 299)));
        assert!(lease().has_passed(at(299, 300)));
        assert!(lease().has_passed(at(0, 300)), "a wall clock that stands still");
        assert_eq!(lease().remaining(at(100, 200)), Duration::from_secs(100));
    }

    #[test]
    fn only_what_is_acknowledged_moves_the_deadline() {
        let mut lease = lease();
        let renewed = lease.next(at(200, 200));
        assert!(lease.has_passed(at(300, 300)), "sent, but not acknowledged");
        lease.acknowledge(renewed);
        assert!(!lease.has_passed(at(499, 499)));
        assert!(lease.has_passed(at(500, 499)));
        lease.acknowledge(at(100, 100).into());
        assert!(!lease.has_passed(at(499, 499)), "an older answer takes nothing back");
    }

    #[test]
    fn a_wall_clock_set_back_does_not_revive_the_lease() {
        let mut lease = lease();
        let renewed = lease.next(at(100, 200));
        lease.acknowledge(renewed);
        // Others see a lease until 400 of the wall clock, which was 100 s ago when the monotonic one shows 400.
        assert!(lease.has_passed(at(300, 400)));
        assert!(!lease.has_passed(at(299, 399)));
    }

    #[test]
    fn a_lease_begins_with_the_send_that_was_applied() {
        let sent = [at(0, 0).into(), at(100, 100).into()];
        let granted = |stored| Lease::granted(&sent, stored, EXPIRE).unwrap().remaining(at(100, 100));
        assert_eq!(granted(Some(sent[1].time)), EXPIRE);
        assert_eq!(granted(Some(sent[0].time)), Duration::from_secs(200));
        assert_eq!(granted(None), Duration::from_secs(200), "what is not known is not hoped for");
        assert_eq!(Lease::granted(&[], None, EXPIRE), None);
    }

    #[test]
    fn times_grow_even_when_the_clock_does_not() {
        let mut lease = lease();
        let first = lease.next(at(0, 1)).time;
        let second = lease.next(at(0, 2)).time;
        assert!(Timestamp::from(at(0, 0)) < first && first < second);
        assert_eq!(second.since(first), Duration::from_micros(1));
    }
}
