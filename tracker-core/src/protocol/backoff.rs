//! The consequences of a failed attempt: the count, and the wait.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::Backoff;

/// The task after one more failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    /// How many attempts have failed in a row: the attribute `retry`.
    pub(crate) retry: u32,
    /// Whether the task is ignored.
    pub(crate) ignored: bool,
}

/// Counts a failed attempt. The task is ignored if the failure is the `max_retry`th in a row, or fatal.
pub(crate) fn next(retry: u32, max_retry: u32, fatal: bool) -> Next {
    let retry = retry.saturating_add(1);
    Next { retry, ignored: fatal || retry >= max_retry }
}

/// Returns how long a task waits after its `retry`th failed attempt in a row. Returns none without a backoff.
///
/// The wait lies between half of the backoff and the whole. It is derived from the lock id of the attempt, so that a
/// finish that is sent again has the same wait.
pub(crate) fn wait(backoff: Backoff, retry: u32, lock_id: &str) -> Option<Duration> {
    let Backoff::Exponential { base, max } = backoff else { return None };
    let doubled = 1_u32.checked_shl(retry.saturating_sub(1)).filter(|factor| *factor > 0);
    let whole = doubled.and_then(|factor| base.checked_mul(factor)).map_or(max, |wait| wait.min(max));
    let thousandths = 500 + u32::try_from(xxh3_64(lock_id.as_bytes()) % 501).unwrap_or(500);
    Some(whole / 1000 * thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_doubles_up_to_the_maximum() {
        let secs = Duration::from_secs;
        let backoff = Backoff::Exponential { base: secs(10), max: secs(300) };
        for (retry, whole) in [(1, 10), (2, 20), (3, 40), (6, 300), (32, 300), (33, 300), (u32::MAX, 300)] {
            let waits: Vec<_> =
                (0..1000).map(|nth| wait(backoff, retry, &format!("{nth:032x}")).unwrap()).collect();
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*least >= secs(whole) / 2 && *most <= secs(whole), "{retry}: {least:?} to {most:?}");
            assert!(most.saturating_sub(*least) > secs(whole) / 3, "{retry}: {least:?} to {most:?}");
        }
        assert_eq!(wait(backoff, 2, "lock"), wait(backoff, 2, "lock"), "the same attempt has the same wait");
        assert_eq!(wait(Backoff::None, 2, "lock"), None);
        let endless = Backoff::Exponential { base: Duration::MAX, max: Duration::MAX };
        assert!(wait(endless, 40, "lock").unwrap() > Duration::MAX / 3, "the wait does not overflow");
    }

    #[test]
    fn task_is_ignored_after_max_retry_or_a_fatal_failure() {
        assert_eq!(next(0, 3, false), Next { retry: 1, ignored: false });
        assert_eq!(next(1, 3, false), Next { retry: 2, ignored: false });
        assert_eq!(next(2, 3, false), Next { retry: 3, ignored: true });
        assert_eq!(next(0, 1, false), Next { retry: 1, ignored: true });
        assert_eq!(next(0, 3, true), Next { retry: 1, ignored: true });
        assert_eq!(next(u32::MAX, 3, false), Next { retry: u32::MAX, ignored: true });
    }
}
