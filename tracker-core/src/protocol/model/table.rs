//! The requests, which send the crate's own expressions, and the table that applies them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::evaluate::Sent;
use super::mutant::Mutant;
use super::row::{Data, KEY, Row, Time, lock_text};
use crate::config::TrackerConfig;
use crate::declare::spec::{Takeover, TrackerSpec, Wire, spec};
use crate::declare::status::{Role, StatusRow, StatusTable};
use crate::item::attribute::{self, number};
use crate::item::head::{self, TaskHead};
use crate::item::history::{HistoryDetail, Note};
use crate::item::translation::Translation;
use crate::item::use_case::UseCase;
use crate::protocol::classify::Rules;
use crate::protocol::expression::{Expression, Parts};
use crate::protocol::outcome::{Outcome, Verdict};
use crate::protocol::writes::{Expected, Writes};
use crate::time::Timestamp;

/// How many ticks a lease lasts. A tick is a second.
pub(super) const LEASE: u8 = 2;
/// How many ticks the lease of a worker with long leases lasts.
pub(super) const LONG_LEASE: u8 = 4;
/// By how many ticks clocks may differ.
pub(super) const SKEW_TICKS: u16 = 2;
const SKEW: Duration = Duration::from_secs(SKEW_TICKS as u64);
/// After how many failed attempts in a row the task is ignored.
pub(super) const MAX_RETRY: u8 = 2;

const fn row(code: u32, name: &'static str, role: Role) -> StatusRow {
    StatusRow { code, name, role, shards: 1 }
}

static STATUSES: [StatusTable; 2] = [
    StatusTable {
        type_name: "First",
        rows: &[
            row(10, "Pending", Role::Pending),
            row(12, "InProgress", Role::InProgress),
            row(14, "Failed", Role::Failed),
            row(16, "Succeeded", Role::Succeeded),
            row(18, "Ignored", Role::Ignored),
        ],
        code_pad: 3,
        shard_pad: 3,
    },
    StatusTable {
        type_name: "Second",
        rows: &[
            row(20, "Pending", Role::Pending),
            row(22, "InProgress", Role::InProgress),
            row(24, "Failed", Role::Failed),
            row(26, "Succeeded", Role::Succeeded),
            row(28, "Ignored", Role::Ignored),
        ],
        code_pad: 3,
        shard_pad: 3,
    },
];
static FIRST: TrackerSpec = spec("First", "model", &STATUSES[0]);
static SECOND: TrackerSpec = TrackerSpec { after: Some(&FIRST), ..spec("Second", "model", &STATUSES[1]) };

/// A step of the pipeline: the use case and the configuration of its tracker.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) use_case: UseCase,
    config: TrackerConfig,
    /// The configuration with long leases.
    long: TrackerConfig,
}

impl Step {
    fn new(spec: &'static TrackerSpec) -> Self {
        let config = TrackerConfig {
            lock_expire: ticks(LEASE),
            max_clock_skew: SKEW,
            max_retry: MAX_RETRY.into(),
            ..TrackerConfig::declared(spec)
        };
        let long = TrackerConfig { lock_expire: ticks(LONG_LEASE), ..config.clone() };
        Self { use_case: UseCase::new(spec, "model"), config, long }
    }

    fn writes<'a>(&'a self, lock_id: &'a str, now: Time) -> Writes<'a> {
        self.writes_at(lock_id, now.stamp(), LEASE)
    }

    pub(super) fn writes_at<'a>(&'a self, lock_id: &'a str, now: Timestamp, lease: u8) -> Writes<'a> {
        let config = if lease == LONG_LEASE { &self.long } else { &self.config };
        Writes { use_case: &self.use_case, config, owner: "", lock_id, now }
    }
}

/// Returns a number of ticks as a duration.
pub(super) fn ticks(ticks: u8) -> Duration {
    Duration::from_secs(ticks.into())
}

/// A request, with everything that its expression depends on. `sent_at` is the tick at which the request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Request {
    Create {
        create_time: Time,
        token: u8,
    },
    Start {
        step: u8,
        lock_id: u8,
        /// The status that the task is expected to have; 0 without an expectation.
        expects: u8,
        lease: u8,
        now: Time,
        sent_at: u16,
    },
    TakeOver {
        step: u8,
        lock_id: u8,
        /// Whether it only frees the task: a release by hand.
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
    Redrive {
        step: u8,
        seen: Row,
        now: Time,
        sent_at: u16,
    },
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum How {
    Succeeded,
    Failed,
    Released,
}

impl How {
    fn outcome(self) -> Outcome {
        match self {
            Self::Succeeded => Outcome::Succeeded,
            Self::Failed => {
                Outcome::Failed { error: String::new(), traceback: String::new(), verdict: Verdict::Retry }
            }
            Self::Released => Outcome::Released,
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
            Self::Create { .. } | Self::Redrive { .. } => 0,
        }
    }

    /// Returns whether the request is shared, if any are.
    pub(super) fn can_share(&self) -> bool {
        !matches!(
            self,
            Self::Create { .. }
                | Self::Redrive { .. }
                | Self::Effect { .. }
                | Self::Finish { effect: true, .. }
        )
    }

    /// Returns the update as a mutant sends it.
    fn sent(&self, steps: &[Step; 2], mutant: Mutant) -> Sent {
        match *self {
            Self::Create { .. } | Self::Effect { .. } => unreachable!("{self:?} sends no update"),
            Self::Start { step, lock_id, expects, lease, now, .. } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[usize::from(step)].writes_at(&lock_id, now.stamp(), lease);
                if expects == 0 {
                    return mutant.start(writes.start(KEY).into());
                }
                let expected = Expected { status: expects.into(), has_run_at: false };
                mutant.start_expected(writes.start_expected(KEY, expected).into())
            }
            Self::TakeOver { step, lock_id, frees, lease, seen, now, .. } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[usize::from(step)].writes_at(&lock_id, now.stamp(), lease);
                let seen = head(steps, step, &seen);
                let write = if frees {
                    writes.release_expired(&seen, &Note::default(), HistoryDetail::All)
                } else {
                    writes.take_over(&seen, HistoryDetail::All)
                };
                mutant.take_over(write.into())
            }
            Self::Save { lock_id, now, data } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[0].writes(&lock_id, now);
                let save = match data {
                    Some(_) => writes.save(),
                    None => writes.heartbeat(),
                };
                mutant.save(with_data(save, data).into())
            }
            Self::Finish { step, lock_id, head: started, how, now, data, effect, .. } => {
                let lock_id = lock_text(lock_id);
                let writes = steps[usize::from(step)].writes(&lock_id, now);
                let started = head(steps, step, &started);
                let (_, finish) = writes.finish(&started, &how.outcome(), HistoryDetail::All);
                let data = (how == How::Succeeded).then_some(data);
                mutant.finish(with_data(finish, data).into(), effect)
            }
            Self::Redrive { step, seen, now, .. } => {
                let writes = steps[usize::from(step)].writes("", now);
                let (_, redrive) = writes.redrive(&head(steps, step, &seen), &Note::default());
                mutant.redrive(redrive.into(), now.stamp())
            }
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

/// A cache of tasks after requests.
type Applied = HashMap<(Option<Row>, Request, Mutant), Option<Row>>;

thread_local! {
    static STEPS: &'static [Step; 2] = Box::leak(Box::new([Step::new(&FIRST), Step::new(&SECOND)]));
    static APPLIED: RefCell<Applied> = RefCell::default();
    static HEADS: RefCell<HashMap<(u8, Row), Rc<TaskHead>>> = RefCell::default();
}

/// Returns the steps of the pipeline.
pub(super) fn steps() -> &'static [Step; 2] {
    STEPS.with(|steps| *steps)
}

/// Reads the head of a task, as the crate reads it.
pub(super) fn head(steps: &[Step; 2], step: u8, row: &Row) -> Rc<TaskHead> {
    HEADS.with_borrow_mut(|heads| {
        let head = heads.entry((step, *row)).or_insert_with(|| {
            let use_case = &steps[usize::from(step)].use_case;
            Rc::new(head::read_head(&mut row.item(), use_case, Wire::Native).expect("a readable item"))
        });
        Rc::clone(head)
    })
}

/// Returns the task after a request, or none if its condition does not hold.
pub(super) fn apply(row: Option<Row>, request: Request, mutant: Mutant) -> Option<Row> {
    if let Request::Create { create_time, token } = request {
        return row.is_none().then(|| Row::new(create_time, token));
    }
    APPLIED.with_borrow_mut(|applied| {
        *applied.entry((row, request, mutant)).or_insert_with(|| {
            let sent = request.sent(steps(), mutant);
            sent.apply(row.map(|row| row.item()).as_ref()).map(|item| Row::of(&item))
        })
    })
}

/// Returns the status that a finish sets.
pub(super) fn finished_as(step: u8, started: &Row, how: How) -> u8 {
    let writes = steps()[usize::from(step)].writes_at("", Timestamp::EPOCH, LEASE);
    let started = head(steps(), step, started);
    let (after, _) = writes.finish(&started, &how.outcome(), HistoryDetail::All);
    after.status_code.try_into().expect("a small code")
}

/// Returns the task as it is after a redrive.
pub(super) fn redriven(step: u8, seen: &Row, now: Time) -> TaskHead {
    steps()[usize::from(step)].writes("", now).redrive(&head(steps(), step, seen), &Note::default()).0
}

/// Returns the statuses from which a step starts.
pub(super) fn ready(step: u8) -> Vec<u8> {
    let ready = steps()[usize::from(step)].use_case.ready();
    ready.map(|code| code.try_into().expect("a small code")).collect()
}

/// Returns the rules of expiry and takeover of a worker, as a mutant has them.
pub(super) fn rules(lease: u8, mutant: Mutant) -> Rules {
    let skew = if mutant == Mutant::TakeoverWithoutSkew { Duration::ZERO } else { SKEW };
    let takeover = if mutant == Mutant::PynamodbMate { Takeover::Never } else { Takeover::Expired };
    Rules { lock_expire: ticks(lease), max_clock_skew: skew, takeover }
}
