//! What a failed attempt makes of a task.

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

#[cfg(test)]
mod tests {
    use super::*;

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
