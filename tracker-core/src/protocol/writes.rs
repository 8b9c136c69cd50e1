//! The writes of the protocol. Each is a pure function that returns an update expression with its condition.
//!
//! The writes that end an attempt are in `finish`, and an operator's writes are in `operator`. `docs/protocol.md` lists
//! all of them.

use std::sync::LazyLock;

use aws_sdk_dynamodb::types::AttributeValue;

use super::backoff;
use super::classify::Rules;
use super::clauses::{FREE, at_status, expires_at, set_errors, set_or_remove};
pub(crate) use super::expected::Expected;
use super::expression::Expression;
use crate::config::TrackerConfig;
use crate::declare::status::Role;
use crate::item::attribute::{
    ATTEMPT, EXPIRES_AT, Item, LEASE_MS, LOST_ATTEMPTS, LOST_LOCK, NOT_LOCKED, OWNER, SNOOZES, STATUS,
    number, string, time,
};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, HistoryEntry, Note};
use crate::item::use_case::{Status, UseCase};
use crate::time::Timestamp;

/// What each start sets, besides the status.
const ACQUIRE: &str =
    "#lock = :lock_id, #lock_time = :now, #update_time = :now, #owner = :owner, #lease_ms = :lease_ms";

/// What all writes depend on: the use case, the configuration, who writes, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writes<'a> {
    pub(crate) use_case: &'a UseCase,
    pub(crate) config: &'a TrackerConfig,
    pub(crate) owner: &'a str,
    /// The lock id of the attempt; empty for an operator, who holds no lock.
    pub(crate) lock_id: &'a str,
    pub(crate) now: Timestamp,
}

/// Who gets the task of an attempt whose lease has expired.
#[derive(Debug, Clone, Copy)]
pub(super) enum LostTo<'a> {
    /// The attempt that begins.
    Attempt,
    /// Nobody: the task is released by hand.
    Nobody(&'a Note),
}

impl Expected {
    /// Returns what an item shows, or none if a start of an expected task cannot start it.
    pub(crate) fn of(head: &TaskHead, item: &Item) -> Option<Self> {
        let is_startable = head.lock.is_none() && item.contains_key(ATTEMPT);
        is_startable.then_some(Self { status: head.status_code, has_run_at: head.run_at.is_some() })
    }
}

impl Writes<'_> {
    /// Returns the start of a task that is expected to be like this. Unlike [`start`](Self::start), it can share a request.
    /// It starts fewer tasks than `start`, and none that `start` would not.
    pub(crate) fn start_expected(&self, key: &str, expected: Expected) -> Expression {
        static START: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new()
                .set("#value = :value, #status = :status, #started_from = :from")
                .set(ACQUIRE)
                .remove("#cancel, #expires_at")
                .add("#attempt :one")
                // Items of other programs may have no `attempt`.
                .and("#lock_time < :now AND #lock = :free AND #status = :from AND attribute_exists(#attempt)")
                .with(":one", number(1_u32))
                .with(":free", string(NOT_LOCKED))
        });
        let run_at = if expected.has_run_at { "#run_at <= :now" } else { "attribute_not_exists(#run_at)" };
        let start = START.begin().and(run_at).with(":from", number(expected.status));
        self.acquired(start, key)
    }

    /// Binds what each start sets.
    fn acquired(&self, start: Expression, key: &str) -> Expression {
        at_status(start, self.use_case, self.use_case.status_of(Role::InProgress), key)
            .with(":lock_id", string(self.lock_id))
            .with(":now", time(self.now))
            .with(":owner", string(self.owner))
            .with(":lease_ms", self.lease_ms())
    }

    /// Returns the start, which acquires the lease of a free task that is ready and due.
    pub(crate) fn start(&self, key: &str) -> Expression {
        // Other programs may leave an item ready and locked: `:stale` lets a start acquire it once its lease has
        // expired.
        static START: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new()
                .set("#value = :value, #status = :status, #started_from = #status")
                .set(ACQUIRE)
                // An earlier step or attempt may have left them. DynamoDB must not delete a task in progress.
                .remove("#cancel, #expires_at")
                .add("#attempt :one")
                .and("#lock_time < :now")
                .and("(attribute_not_exists(#run_at) OR #run_at <= :now)")
                .and("(#lock = :free OR (#lock_time < :stale AND attribute_not_exists(#lease_ms)))")
                .with(":one", number(1_u32))
                .with(":free", string(NOT_LOCKED))
        });
        let stale = Rules::from(self.config).stale_before(self.now);
        self.acquired(START.begin(), key)
            .with(":stale", time(stale))
            .and_in(STATUS, self.use_case.ready().map(number))
    }

    /// Returns the takeover of an expired lease, pinned to the lease that was seen. The takeover ignores the task
    /// instead if the lost attempt was its last, or had been asked to cancel.
    pub(crate) fn take_over(&self, seen: &TaskHead, detail: HistoryDetail) -> Expression {
        self.end_lost_attempt(seen, LostTo::Attempt, detail)
    }

    /// Ends an attempt whose lease has expired, pinned to the lease that was seen. The next attempt begins in the same write,
    /// or the task is free.
    pub(super) fn end_lost_attempt(
        &self,
        seen: &TaskHead,
        to: LostTo<'_>,
        detail: HistoryDetail,
    ) -> Expression {
        let cancelled = seen.is_cancel_requested();
        let next = backoff::next(seen.retry, self.config.max_retry, cancelled);
        let mut errors = seen.errors.clone();
        errors.push(self.lost_attempt(seen, next.retry, to), self.config.history_limit as usize);
        let takeover = Expression::new()
            .set("#value = :value, #status = :status, #update_time = :now, #retry = :retry")
            .with(":retry", number(next.retry))
            .and("#lock = :seen_lock AND #lock_time = :seen_lock_time AND #status = :seen_status")
            .with(":seen_lock", string(seen.lock.as_deref().unwrap_or(NOT_LOCKED)))
            .with(":seen_lock_time", time(seen.lock_time))
            .with(":seen_status", number(seen.status_code))
            .with(":lock_id", string(self.lock_id))
            .with(":now", time(self.now));
        // A request to cancel does not move the lease.
        let takeover = if cancelled { takeover } else { takeover.and("NOT #cancel = :seen_lock") };
        // An item without room for its history has no room for a new attribute either.
        let adds = |is_stored: bool| is_stored || detail != HistoryDetail::AsStored;
        let lost = seen.lock.as_deref().filter(|_| adds(seen.lost_lock.is_some()));
        let lost_attempts = seen.lost_attempts.saturating_add(1);
        let lost_attempts = adds(seen.lost_attempts > 0).then(|| number(lost_attempts));
        let takeover = set_or_remove(takeover, LOST_LOCK, false, lost.map(string));
        let takeover = set_or_remove(takeover, LOST_ATTEMPTS, false, lost_attempts);
        let has_expiry = seen.expires_at.is_some();
        let (role, takeover) = if next.ignored || matches!(to, LostTo::Nobody(_)) {
            let freed = takeover.set(FREE).with(":free", string(NOT_LOCKED));
            let freed = set_or_remove(freed, LEASE_MS, seen.lease.is_some(), None);
            let role = if next.ignored { Role::Ignored } else { Role::Failed };
            let expires_at = expires_at(self.config, role, self.now);
            let expires_at = expires_at.filter(|_| detail != HistoryDetail::AsStored);
            (role, set_or_remove(freed, EXPIRES_AT, has_expiry, expires_at.map(number)))
        } else {
            let held = takeover
                .set("#lock = :lock_id, #lock_time = :now")
                .add("#attempt :one")
                .with(":one", number(1_u32));
            // Always true, but a statement needs it.
            let held = if seen.attempt > 0 { held.and("attribute_exists(#attempt)") } else { held };
            let held = set_or_remove(held, EXPIRES_AT, has_expiry, None);
            let lease_ms = adds(seen.lease.is_some()).then(|| self.lease_ms());
            let held = set_or_remove(held, LEASE_MS, false, lease_ms);
            // An item without room for its history may have no room for a longer owner.
            let named = match detail {
                HistoryDetail::AsStored => held,
                _ => held.set_to(OWNER, string(self.owner)),
            };
            (Role::InProgress, named)
        };
        // The lost attempt did not end in a snooze.
        let takeover = set_or_remove(takeover, SNOOZES, seen.snoozes > 0, None);
        let takeover = at_status(takeover, self.use_case, self.use_case.status_of(role), &seen.key);
        set_errors(takeover, seen, &mut errors, detail)
    }

    /// Returns the history's entry for an attempt whose lease expired.
    fn lost_attempt(&self, seen: &TaskHead, nth_retry: u32, to: LostTo<'_>) -> HistoryEntry {
        let holder = seen.owner.as_deref().unwrap_or("an unknown worker");
        let (then, by) = match to {
            _ if seen.is_cancel_requested() => ("the task was cancelled on request", "taken over by"),
            LostTo::Attempt => ("the task was taken over", "taken over by"),
            LostTo::Nobody(_) => ("the task was released by hand", "released by"),
        };
        let entry = HistoryEntry::new(
            nth_retry,
            self.now,
            &format!("the lease expired: {holder} did not finish the attempt, and {then}"),
            &format!("held since {}, {by} {}", seen.lock_time, self.owner),
        );
        let took = seen.lock_time.since(seen.update_time);
        let mut entry = entry.of_attempt(seen.attempt, seen.owner.as_deref(), took);
        // Nobody knows how long an attempt worked that never renewed its lease.
        entry.seconds = entry.seconds.filter(|_| !took.is_zero());
        match to {
            LostTo::Attempt if seen.is_cancel_requested() => entry.by_hand(&seen.cancel_note),
            LostTo::Attempt => entry,
            LostTo::Nobody(note) if seen.is_cancel_requested() => {
                entry.by_hand(&seen.cancel_note.clone().or(note))
            }
            LostTo::Nobody(note) => entry.by_hand(note),
        }
    }

    /// Returns the length of this worker's lease. It is never shorter than the holder believes.
    fn lease_ms(&self) -> AttributeValue {
        let millis = self.config.lock_expire.as_nanos().div_ceil(1_000_000);
        number(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns the save, which renews the lease. The caller adds the data.
    pub(crate) fn save(&self) -> Expression {
        static SAVE: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new().set("#lock_time = :now").and("#lock = :lock_id AND #lock_time < :now")
        });
        SAVE.begin().with(":lock_id", string(self.lock_id)).with(":now", time(self.now))
    }

    /// Returns the heartbeat, which renews the lease unless the attempt was asked to cancel.
    pub(crate) fn heartbeat(&self) -> Expression {
        self.save().and("NOT #cancel = :lock_id")
    }

    /// Returns the release of a task that cannot be read. It needs only what the start itself wrote.
    pub(crate) fn release(&self, key: &str, started_from: Option<u32>) -> Expression {
        at_status(self.freed(), self.use_case, self.released_to(started_from), key)
    }

    /// Returns the status that a release returns to. That is `failed` if this step does not start from
    /// `started_from`, so that the task is retried: Python leaves `started_from` as an earlier step has set it.
    pub(super) fn released_to(&self, started_from: Option<u32>) -> Status {
        let started_from = started_from.filter(|code| self.use_case.ready().any(|ready| ready == *code));
        let status = started_from.and_then(|code| self.use_case.status(code));
        status.unwrap_or_else(|| self.use_case.status_of(Role::Failed))
    }

    /// Returns the clauses of every end of an attempt. They free its lock and set a status, which the caller binds.
    pub(super) fn freed(&self) -> Expression {
        static FREED: LazyLock<Expression> = LazyLock::new(|| {
            Expression::new()
                .set(FREE)
                .set("#value = :value, #status = :status, #update_time = :now")
                .remove("#lease_ms, #lost_attempts")
                .and("#lock = :lock_id")
                .with(":free", string(NOT_LOCKED))
        });
        FREED.begin().with(":lock_id", string(self.lock_id)).with(":now", time(self.now))
    }
}
