//! Time: the clock that is handed in, and the one form in which times are stored.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Timelike, Utc};

/// Two clocks read at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "Now")]
pub struct ClockReading {
    /// The time of day, which other workers see too, and which may step.
    pub wall: DateTime<Utc>,
    /// Time since a fixed moment of this process, which never steps back.
    pub monotonic: Duration,
}

/// A future of a [`Clock`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a tracker gets its time from.
///
/// Replace it in tests, so that leases expire without waiting.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Both clocks, read together.
    fn now(&self) -> ClockReading;

    /// Waits: for a clock that is a little ahead of ours, between two sends of a request, for a table, between two
    /// heartbeats (at most a second at once), and for the timeout of a body.
    fn sleep(&self, duration: Duration) -> Sleep;

    /// Whether the time is made up, and must not be compared with the `Date` of the service's answers.
    fn is_simulated(&self) -> bool {
        false
    }
}

/// The clock of the machine. Its `sleep` needs a Tokio runtime.
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

/// How `lock_time`, `update_time` and `create_time` are stored: 31 characters, so that string order is time order.
static STORED: LazyLock<Vec<Item<'static>>> =
    LazyLock::new(|| StrftimeItems::new("%Y-%m-%dT%H:%M:%S%.6f+0000").collect());
const STORED_BYTES: usize = SPELLING.len();
/// The same, with a `d` for each digit.
const SPELLING: &[u8] = b"dddd-dd-ddTdd:dd:dd.dddddd+0000";
/// How an entry of the history has it, which is Python's `isoformat`.
const IN_HISTORY: &str = "%Y-%m-%dT%H:%M:%S%.6f%:z";

/// A moment as it is stored: UTC, whole microseconds, a year of four digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The `lock_time` of a task that was never locked.
    pub(crate) const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// Truncates, as a value read back must equal the one in memory, and stays within the four-digit years.
    pub(crate) fn new(time: DateTime<Utc>) -> Self {
        let latest = DateTime::from_timestamp_micros(253_402_300_799_999_999);
        let time = time.max(DateTime::UNIX_EPOCH);
        let time = latest.map_or(time, |latest| time.min(latest));
        // A leap second would be written as a 61st one, which nobody reads.
        let leap = if time.nanosecond() < 1_000_000_000 { TimeDelta::zero() } else { TimeDelta::seconds(1) };
        Self((time + leap).trunc_subsecs(6))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Any other spelling would break the order of strings, which conditions rely on: each digit has its place. Three
        // times are in every item, and this takes a fifth of what chrono's parser and a comparison do.
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

    pub(crate) fn stored(self) -> String {
        let mut stored = String::with_capacity(STORED_BYTES);
        // Writing to a `String` cannot fail.
        let _ = self.0.naive_utc().format_with_items(STORED.iter()).write_to(&mut stored);
        stored
    }

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

    /// Zero when `earlier` is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        (self.0 - earlier.0).to_std().unwrap_or(Duration::ZERO)
    }

    /// This time, or the least one after `last` where a clock has not moved on: what one execution writes always grows.
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
    fn the_stored_form_has_31_characters_and_reads_back() {
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
    fn other_spellings_are_refused() {
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
        fn what_is_read_is_what_chrono_reads_and_writes(
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
    fn times_of_one_execution_grow() {
        let first = Timestamp::EPOCH.plus(Duration::from_secs(10));
        assert_eq!(first.after(first), first.plus(Duration::from_micros(1)));
        assert_eq!(Timestamp::EPOCH.after(first), first.plus(Duration::from_micros(1)));
        assert_eq!(first.after(Timestamp::EPOCH), first);
        assert_eq!(Timestamp::EPOCH.minus(Duration::MAX), Timestamp::EPOCH);
        assert_eq!(first.plus(Duration::MAX).to_string(), "9999-12-31T23:59:59.999999+0000");
    }
}
