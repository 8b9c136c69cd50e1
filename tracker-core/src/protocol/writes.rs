//! The writes of the protocol: each is a pure function to an update expression with its condition.
//!
//! `docs/protocol.md` lists them. The end of an attempt is in `finish`, an operator's writes are in `operator`.

use std::sync::LazyLock;

use super::backoff;
use super::classify::Rules;
use super::clauses::{CANCELLED, FREE, at_status, expires_at, set_errors, set_or_remove};
use super::expression::Expression;
use crate::config::TrackerConfig;
use crate::declare::status::Role;
use crate::item::attribute::{EXPIRES_AT, NOT_LOCKED, OWNER, SNOOZES, STATUS, number, string, time};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, HistoryEntry};
use crate::item::use_case::{Status, UseCase};
use crate::time::Timestamp;

/// Who writes, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writes<'a> {
    pub(crate) use_case: &'a UseCase,
    pub(crate) config: &'a TrackerConfig,
    pub(crate) owner: &'a str,
    /// The lock of the attempt. An operator's writes hold none and leave it empty.
    pub(crate) lock_id: &'a str,
    pub(crate) now: Timestamp,
}

impl Writes<'_> {
    /// Start: acquires the lease of a free task that is ready.
    pub(crate) fn start(&self, key: &str) -> Expression {
        // The second arm of the last condition is for items that another program left both ready and locked.
        static START: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new()
                .set("#value = :value, #status = :status, #started_from = #status")
                .set("#lock = :lock_id, #lock_time = :now, #update_time = :now, #owner = :owner")
                // An earlier step or attempt may have left both; DynamoDB must not delete a task in progress.
                .remove("#cancel, #expires_at")
                .add("#attempt :one")
                .and("#lock_time < :now")
                .and("(attribute_not_exists(#run_at) OR #run_at <= :now)")
                .and("(#lock = :free OR #lock_time < :stale)")
                .with(":one", number(1_u32))
                .with(":free", string(NOT_LOCKED))
        });
        let stale = Rules::from(self.config).stale_before(self.now);
        at_status(START.clone(), self.use_case, self.use_case.status_of(Role::InProgress), key)
            .with(":lock_id", string(self.lock_id))
            .with(":now", time(self.now))
            .with(":owner", string(self.owner))
            .with(":stale", time(stale))
            .and_in(STATUS, self.use_case.ready().map(number))
    }

    /// Takeover of an expired lease, pinned to the lease that was seen. The task is ignored instead if this was its
    /// last attempt, or if the lost attempt had been asked to cancel.
    pub(crate) fn take_over(&self, seen: &TaskHead, detail: HistoryDetail) -> Expression {
        let cancelled = seen.is_cancel_requested();
        let next = backoff::next(seen.retry, self.config.max_retry, cancelled);
        let mut errors = seen.errors.clone();
        errors.push(self.lost_attempt(seen, next.retry), self.config.history_limit as usize);
        let takeover = Expression::new()
            .set("#value = :value, #status = :status, #update_time = :now, #retry = :retry")
            .with(":retry", number(next.retry))
            .and("#lock = :seen_lock AND #lock_time = :seen_lock_time AND #status = :seen_status")
            .with(":seen_lock", string(seen.lock.as_deref().unwrap_or(NOT_LOCKED)))
            .with(":seen_lock_time", time(seen.lock_time))
            .with(":seen_status", number(seen.status_code))
            .with(":lock_id", string(self.lock_id))
            .with(":now", time(self.now));
        let has_expiry = seen.expires_at.is_some();
        let (role, takeover) = if next.ignored {
            let freed = takeover.set(FREE).with(":free", string(NOT_LOCKED));
            let expires_at = expires_at(self.config, Role::Ignored, self.now);
            let expires_at = expires_at.filter(|_| detail != HistoryDetail::AsStored);
            (Role::Ignored, set_or_remove(freed, EXPIRES_AT, has_expiry, expires_at.map(number)))
        } else {
            let held = takeover
                .set("#lock = :lock_id, #lock_time = :now")
                .add("#attempt :one")
                .with(":one", number(1_u32));
            let held = set_or_remove(held, EXPIRES_AT, has_expiry, None);
            // An item without room for the history may have none for a longer owner's name.
            let named = match detail {
                HistoryDetail::AsStored => held,
                _ => held.set_to(OWNER, string(self.owner)),
            };
            (Role::InProgress, named)
        };
        // The lost holder did not snooze the task.
        let takeover = set_or_remove(takeover, SNOOZES, seen.snoozes > 0, None);
        let takeover = at_status(takeover, self.use_case, self.use_case.status_of(role), &seen.key);
        set_errors(takeover, seen, &mut errors, detail)
    }

    /// The history's entry for an attempt whose lease expired.
    fn lost_attempt(&self, seen: &TaskHead, nth_retry: u32) -> HistoryEntry {
        let holder = seen.owner.as_deref().unwrap_or("an unknown worker");
        let then = if seen.is_cancel_requested() { CANCELLED } else { "its task was taken over" };
        HistoryEntry::new(
            nth_retry,
            self.now,
            &format!("the lease expired: {holder} did not finish the attempt, and {then}"),
            &format!("held since {}, taken over by {}", seen.lock_time, self.owner),
        )
    }

    /// Save: renews the lease. The caller adds the data.
    pub(crate) fn save(&self) -> Expression {
        static SAVE: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new().set("#lock_time = :now").and("#lock = :lock_id AND #lock_time < :now")
        });
        SAVE.clone().with(":lock_id", string(self.lock_id)).with(":now", time(self.now))
    }

    /// Heartbeat: renews the lease, unless somebody asked the attempt to cancel.
    pub(crate) fn heartbeat(&self) -> Expression {
        self.save().and("(attribute_not_exists(#cancel) OR #cancel <> :lock_id)")
    }

    /// Release of a task that cannot be read: what the start itself wrote is enough.
    pub(crate) fn release(&self, key: &str, started_from: Option<u32>) -> Expression {
        at_status(self.freed(), self.use_case, self.released_to(started_from), key)
    }

    /// The status that a release returns to: `failed` if `started_from` is unknown, so that the task is retried. Python
    /// leaves `started_from` as an earlier step has set it, from which this step cannot have started.
    pub(super) fn released_to(&self, started_from: Option<u32>) -> Status {
        let started_from = started_from.filter(|code| self.use_case.ready().any(|ready| ready == *code));
        let status = started_from.and_then(|code| self.use_case.status(code));
        status.unwrap_or_else(|| self.use_case.status_of(Role::Failed))
    }

    /// Every end of an attempt: frees its lock and sets a status, which the caller binds.
    pub(super) fn freed(&self) -> Expression {
        static FREED: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new()
                .set(FREE)
                .set("#value = :value, #status = :status, #update_time = :now")
                .and("#lock = :lock_id")
                .with(":free", string(NOT_LOCKED))
        });
        FREED.clone().with(":lock_id", string(self.lock_id)).with(":now", time(self.now))
    }
}
