//! The clock of a tracker, and the form in which times are stored.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Timelike, Utc};

/// A reading of two clocks at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "Now")]
pub struct ClockReading {
    /// The time of day. The tracker stores it, and other workers compare it with theirs. It may step.
    pub wall: DateTime<Utc>,
    /// The time since a fixed moment of this process. It never steps back.
    pub monotonic: Duration,
}

/// The future of [`Clock::sleep`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock of a tracker.
///
/// Tests can replace it, so that leases expire without waiting. The feature `testing` has a clock that a test
/// advances.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns a reading of both clocks.
    fn now(&self) -> ClockReading;

    /// Returns a future that completes after this time.
    ///
    /// The tracker sleeps in these cases:
    ///
    /// - between two sends of a request;
    /// - while it waits for a table to be created;
    /// - in a start, if the task was last written slightly ahead of this clock;
    /// - between two heartbeats, for at most a second at once;
    /// - until the timeout of a body;
    /// - in a worker: between two polls, until it must stop, and for up to 50 ms until updates share a request.
    fn sleep(&self, duration: Duration) -> Sleep;

    /// Returns whether the time is simulated; `false` by default.
    ///
    /// If it is, the tracker does not compare the clock with the `Date` of DynamoDB's responses. Heartbeats then run in
    /// tasks of the runtime that starts a task, instead of on the background thread.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Counts the requests that are under way, so that a test does not advance the clock meanwhile.
    #[doc(hidden)]
    fn __count_requests(&self, _change: isize) {}
}

/// The clock of the machine, which a tracker has by default. Its `sleep` needs a Tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> ClockReading {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let origin = *ORIGIN;
        ClockReading { wall: Utc::now(), monotonic: origin.elapsed() }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The form of the times in an item: always 31 characters, so that the order of strings is the order of
/// times.
static STORED: LazyLock<Vec<Item<'static>>> =
    LazyLock::new(|| StrftimeItems::new("%Y-%m-%dT%H:%M:%S%.6f+0000").collect());
const STORED_BYTES: usize = SPELLING.len();
/// The same form, with a `d` for each digit.
const SPELLING: &[u8] = b"dddd-dd-ddTdd:dd:dd.dddddd+0000";
/// The form of the times in the history: that of Python's `isoformat`.
const IN_HISTORY: &str = "%Y-%m-%dT%H:%M:%S%.6f%:z";

/// A time as it is stored: UTC, whole microseconds, from 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The `lock_time` of a task that was never locked.
    pub(crate) const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// Truncates a time to microseconds, so that the stored time equals the time in memory, and limits it to
    /// 1970 to 9999.
    pub(crate) fn new(time: DateTime<Utc>) -> Self {
        let latest = DateTime::from_timestamp_micros(253_402_300_799_999_999);
        let time = time.max(DateTime::UNIX_EPOCH);
        let time = latest.map_or(time, |latest| time.min(latest));
        // A leap second would be written as second 60, which no reader accepts.
        let leap = if time.nanosecond() < 1_000_000_000 { TimeDelta::zero() } else { TimeDelta::seconds(1) };
        Self((time + leap).trunc_subsecs(6))
    }

    /// Reads a stored time. Returns `None` for any other spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Conditions compare strings, and any other spelling would break their order. Every item has three
        // times, and this parser takes a fifth of the time that chrono's parser and a comparison take.
        let bytes = text.as_bytes();
        let is_spelt = bytes.len() == STORED_BYTES
            && bytes.iter().zip(SPELLING).all(|(byte, spelt)| match spelt {
                b'd' => byte.is_ascii_digit(),
                _ => byte == spelt,
            });
        let number = |digits: Range<usize>| {
            bytes[digits].iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
        };
        if !is_spelt {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(number(0..4).cast_signed(), number(5..7), number(8..10))?;
        let time = date.and_hms_micro_opt(number(11..13), number(14..16), number(17..19), number(20..26))?;
        (time.and_utc() >= DateTime::UNIX_EPOCH).then(|| Self(time.and_utc()))
    }

    pub(crate) fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Returns the form for an item.
    pub(crate) fn stored(self) -> String {
        let mut stored = String::with_capacity(STORED_BYTES);
        // Writing to a `String` cannot fail.
        let _ = self.0.naive_utc().format_with_items(STORED.iter()).write_to(&mut stored);
        stored
    }

    /// Returns the form for the history.
    pub(crate) fn in_history(self) -> String {
        self.0.format(IN_HISTORY).to_string()
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        let delta = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        Self::new(self.0.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        let delta = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        Self::new(self.0.checked_sub_signed(delta).unwrap_or(DateTime::UNIX_EPOCH))
    }

    /// Returns the time since `earlier`, or zero if `earlier` is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        (self.0 - earlier.0).to_std().unwrap_or(Duration::ZERO)
    }

    /// Returns this time, or `last` plus 1 µs if that is later, because the times of an attempt's writes must
    /// grow.
    pub(crate) fn after(self, last: Self) -> Self {
        self.max(last.plus(Duration::from_micros(1)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stored())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ClockReading> for Timestamp {
    fn from(now: ClockReading) -> Self {
        Self::new(now.wall)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[test]
    fn stored_times_have_31_characters_and_are_read_back() {
        let time = DateTime::parse_from_rfc3339("2026-11-24T02:17:26.355394999Z").unwrap().to_utc();
        let stored = Timestamp::new(time);
        assert_eq!(stored.to_string(), "2026-11-24T02:17:26.355394+0000");
        assert_eq!(stored.in_history(), "2026-11-24T02:17:26.355394+00:00");
        assert_eq!(Timestamp::parse(&stored.to_string()), Some(stored));
        assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00.000000+0000");
        let leap = DateTime::parse_from_rfc3339("2016-12-31T23:59:60.25Z").unwrap().to_utc();
        assert_eq!(Timestamp::new(leap).to_string(), "2017-01-01T00:00:00.250000+0000");
        let last_leap = NaiveDate::MAX.and_hms_nano_opt(23, 59, 59, 1_500_000_000).unwrap().and_utc();
        for extreme in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, last_leap] {
            let stored = Timestamp::new(extreme);
            assert_eq!(stored.to_string().len(), 31);
            assert_eq!(Timestamp::parse(&stored.to_string()), Some(stored));
        }
    }

    #[test]
    fn parse_refuses_other_spellings() {
        for text in [
            "",
            "2026-11-24T02:17:26.355394Z",
            "2026-11-24T02:17:26.355394+00:00",
            "2026-11-24T02:17:26.355+0000",
            "2026-11-24T02:17:26.355394999+0000",
            "2026-11-24T02:17:26.355394+0100",
            "2026-11-24 02:17:26.355394+0000",
            "2026-11-24T02:17:60.355394+0000",
            "2026-11-24T24:00:00.000000+0000",
            "2026-02-29T02:17:26.355394+0000",
            "1969-12-31T23:59:59.999999+0000",
            "2026-11-24T02:17:26.35539\u{663}+000",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, rng_seed: RngSeed::Fixed(8), failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn parse_accepts_exactly_the_times_that_chrono_reads_and_writes_back(
            micros in 0..253_402_300_800_000_000_i64,
            at in 0..31_usize,
            by in prop::option::of("[0-9 +:TZ.-]"),
        ) {
            let mut text = Timestamp::new(DateTime::from_timestamp_micros(micros).unwrap()).stored();
            if let Some(by) = by {
                text.replace_range(at..=at, &by);
            }
            let read = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.6f%z").ok();
            let same = read.map(|read| Timestamp::new(read.to_utc())).filter(|read| read.stored() == text);
            prop_assert_eq!(Timestamp::parse(&text), same, "{}", text);
        }
    }

    #[test]
    fn after_always_grows_and_arithmetic_stays_in_range() {
        let first = Timestamp::EPOCH.plus(Duration::from_secs(10));
        assert_eq!(first.after(first), first.plus(Duration::from_micros(1)));
        assert_eq!(Timestamp::EPOCH.after(first), first.plus(Duration::from_micros(1)));
        assert_eq!(first.after(Timestamp::EPOCH), first);
        assert_eq!(Timestamp::EPOCH.minus(Duration::MAX), Timestamp::EPOCH);
        assert_eq!(first.plus(Duration::MAX).to_string(), "9999-12-31T23:59:59.999999+0000");
    }
}
