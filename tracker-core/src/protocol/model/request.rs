//! The requests, which send the crate's own expressions.

use super::evaluate::Sent;
use super::how::How;
use super::mutant::Mutant;
use super::python::Python;
use super::row::{Data, KEY, Row, Time, lock_text};
use super::steps::{head, steps};
use crate::item::attribute::{self, number};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, Note};
use crate::item::translation::Translation;
use crate::protocol::expression::{Expression, Parts};
use crate::protocol::operator;
use crate::protocol::writes::Expected;

/// A request, with everything that its expression depends on. `sent_at` is the tick at which the request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Request {
    Create {
        create_time: Time,
        token: u8,
        /// The time before which the task is not started.
        run_at: Time,
        /// The task that counts as deleted, and that the new one replaces.
        replaces: Option<Row>,
    },
    Start {
        step: u8,
        lock_id: u8,
        expects: Option<Seen>,
        lease: u8,
        now: Time,
        sent_at: u16,
    },
    TakeOver {
        step: u8,
        lock_id: u8,
        /// Whether it only frees the task: a release by hand, or a cancel.
        frees: bool,
        lease: u8,
        seen: Row,
        now: Time,
        sent_at: u16,
    },
    /// A save; without data, a heartbeat.
    Save {
        lock_id: u8,
        now: Time,
        data: Option<Data>,
        /// Whether a heartbeat is refused if its attempt was asked to cancel.
        asks: bool,
    },
    Finish {
        step: u8,
        lock_id: u8,
        head: Row,
        how: How,
        now: Time,
        sent_at: u16,
        data: Data,
        /// Whether the effect of the attempt is written in the same transaction.
        effect: bool,
    },
    /// The effect of an attempt alone, for the mutant that sends it apart.
    Effect {
        lock_id: u8,
    },
    Change {
        change: Change,
        step: u8,
        seen: Row,
        now: Time,
        sent_at: u16,
    },
    /// A request to cancel the attempt that holds this lock.
    Ask {
        lock: u8,
        seen: Row,
    },
    /// A write of Python's, with the lock of its attempt.
    Python {
        write: Python,
        lock: u8,
    },
    Delete {
        seen: Row,
    },
}

/// What a start expects of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seen {
    pub(super) status: u8,
    pub(super) has_run_at: bool,
}

impl Seen {
    /// Returns what a task shows.
    pub(super) fn of(row: &Row) -> Self {
        Self { status: row.status, has_run_at: row.run_at != Time::NEVER }
    }
}

/// A change of a free task by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Change {
    Redrive,
    RunNow,
    Cancel,
}

impl Change {
    /// Returns the task as it is after the change, and the write, pinned to the task that was seen.
    pub(super) fn write(self, step: u8, seen: &Row, now: Time) -> (TaskHead, Expression) {
        let writes = steps()[usize::from(step)].writes("", now);
        let (seen, note) = (head(steps(), step, seen), Note::default());
        match self {
            Self::Redrive => writes.redrive(&seen, &note),
            Self::RunNow => writes.run_now(&seen, &note),
            Self::Cancel => writes.cancel(&seen, &note, HistoryDetail::All),
        }
    }
}

impl Request {
    /// Returns the lock of the attempt that sent the request; 0 if there is none.
    pub(super) fn lock_id(&self) -> u8 {
        match *self {
            Self::Start { lock_id, .. }
            | Self::TakeOver { lock_id, .. }
            | Self::Save { lock_id, .. }
            | Self::Effect { lock_id }
            | Self::Finish { lock_id, .. } => lock_id,
            Self::Create { .. }
            | Self::Change { .. }
            | Self::Ask { .. }
            | Self::Python { .. }
            | Self::Delete { .. } => 0,
        }
    }

    /// Returns the task that the request is meant for, if the request was made from a task that was read.
    pub(super) fn meant_for(&self) -> Option<&Row> {
        match self {
            Self::TakeOver { seen, .. }
            | Self::Finish { head: seen, .. }
            | Self::Change { seen, .. }
            | Self::Ask { seen, .. }
            | Self::Delete { seen } => Some(seen),
            Self::Create { .. }
            | Self::Start { .. }
            | Self::Save { .. }
            | Self::Python { .. }
            | Self::Effect { .. } => None,
        }
    }

    /// Returns whether the request is shared, if any are.
    pub(super) fn can_share(&self) -> bool {
        matches!(
            self,
            Self::Start { .. }
                | Self::TakeOver { .. }
                | Self::Save { .. }
                | Self::Finish { effect: false, .. }
        )
    }

    /// Returns the update, or the condition of a put or a delete, as a mutant sends it.
    pub(super) fn sent(&self, mutant: Mutant) -> Sent {
        let steps = steps();
        match *self {
            Self::Effect { .. } | Self::Python { .. } => unreachable!("{self:?} sends no update"),
            Self::Create { replaces: None, .. } => Expression::new().and("attribute_not_exists(#key)").into(),
            Self::Create { replaces: Some(seen), .. } => {
                mutant.replace(operator::as_seen(&head(steps, 0, &seen)).into())
            }
            Self::Start { step, lock_id, expects, lease, now, .. } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[usize::from(step)].writes_at(&lock_id, now.stamp(), lease);
                let Some(Seen { status, has_run_at }) = expects else {
                    return mutant.start(writes.start(KEY).into());
                };
                let expected = Expected { status: status.into(), has_run_at };
                mutant.start_expected(writes.start_expected(KEY, expected).into(), has_run_at)
            }
            Self::TakeOver { step, lock_id, frees, lease, seen, now, .. } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[usize::from(step)].writes_at(&lock_id, now.stamp(), lease);
                let seen = mutant.lost(&head(steps, step, &seen));
                let write = if frees {
                    writes.release_expired(&seen, &Note::default(), HistoryDetail::All)
                } else {
                    writes.take_over(&seen, HistoryDetail::All)
                };
                mutant.take_over(write.into())
            }
            Self::Save { lock_id, now, data, asks } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[0].writes(&lock_id, now);
                let save = if asks { writes.heartbeat() } else { writes.save() };
                mutant.save(with_data(save, data).into(), asks)
            }
            Self::Finish { step, lock_id, head: started, how, now, data, effect, .. } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[usize::from(step)].writes(&lock_id, now);
                let started = head(steps, step, &started);
                let (_, finish) = writes.finish(&started, &how.outcome(), HistoryDetail::All);
                let data = (how == How::Succeeded).then_some(data);
                mutant.finish(with_data(finish, data).into(), effect, how)
            }
            Self::Change { change, step, seen, now, .. } => {
                mutant.change(change.write(step, &seen, now).1.into(), change, now.stamp())
            }
            Self::Ask { lock, seen } => {
                let ask =
                    operator::request_cancel(&head(steps, 0, &seen), &lock_text(lock), &Note::default());
                mutant.ask(ask.into())
            }
            Self::Delete { seen } => mutant.delete(operator::delete_as_read(&seen.item()).into()),
        }
    }
}

/// Adds a version of the data to a write.
fn with_data(write: Expression, data: Option<Data>) -> Expression {
    match data {
        Some(data) => {
            write.set_to(attribute::DATA, number(u32::from(data.lock) * 256 + u32::from(data.version)))
        }
        None => write,
    }
}

impl From<Expression> for Sent {
    fn from(expression: Expression) -> Self {
        let Parts { update, condition, names, values } = expression.into_parts(&Translation::default());
        Self { update, condition, names, values }
    }
}
