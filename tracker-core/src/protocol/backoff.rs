//! What a failed attempt makes of a task.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::Backoff;

/// The task after one more failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    /// Its `retry`.
    pub(crate) retry: u32,
    /// Whether it is given up.
    pub(crate) ignored: bool,
}

/// Counts a failed attempt: the task is given up at the `max_retry`th, or at once when it is fatal.
pub(crate) fn next(retry: u32, max_retry: u32, fatal: bool) -> Next {
    let retry = retry.saturating_add(1);
    Next { retry, ignored: fatal || retry >= max_retry }
}

/// How long a task waits after its `retry`th failed attempt in a row, if it does: between half of the backoff and the
/// whole, by the lock of that attempt, so that a copy of the finish says the same.
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
    fn waits_double_up_to_the_longest() {
        let secs = Duration::from_secs;
        let backoff = Backoff::Exponential { base: secs(10), max: secs(300) };
        for (retry, whole) in [(1, 10), (2, 20), (3, 40), (6, 300), (32, 300), (33, 300), (u32::MAX, 300)] {
            let waits: Vec<_> =
                (0..1000).map(|nth| wait(backoff, retry, &format!("{nth:032x}")).unwrap()).collect();
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*least >= secs(whole) / 2 && *most <= secs(whole), "{retry}: {least:?} to {most:?}");
            assert!(most.saturating_sub(*least) > secs(whole) / 3, "{retry}: {least:?} to {most:?}");
        }
        assert_eq!(wait(backoff, 2, "me"), wait(backoff, 2, "me"), "a copy says the same");
        assert_eq!(wait(Backoff::None, 2, "me"), None);
        let endless = Backoff::Exponential { base: Duration::MAX, max: Duration::MAX };
        assert!(wait(endless, 40, "me").unwrap() > Duration::MAX / 3, "nothing overflows");
    }

    #[test]
    fn retries_end() {
        assert_eq!(next(0, 3, false), Next { retry: 1, ignored: false });
        assert_eq!(next(1, 3, false), Next { retry: 2, ignored: false });
        assert_eq!(next(2, 3, false), Next { retry: 3, ignored: true });
        assert_eq!(next(0, 1, false), Next { retry: 1, ignored: true });
        assert_eq!(next(0, 3, true), Next { retry: 1, ignored: true });
        assert_eq!(next(u32::MAX, 3, false), Next { retry: u32::MAX, ignored: true });
    }
}
