//! The steps of the pipeline, and how their items are read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use ahash::RandomState;

use super::mutant::Mutant;
use super::row::{Row, Time};
use crate::config::{Backoff, TrackerConfig};
use crate::declare::spec::{Takeover, TrackerSpec, Wire, spec};
use crate::declare::status::{Role, StatusRow, StatusTable};
use crate::item::head::{self, TaskHead};
use crate::item::use_case::UseCase;
use crate::protocol::classify::Rules;
use crate::protocol::writes::Writes;
use crate::time::Timestamp;

thread_local! {
    static STEPS: &'static [Step; 2] = Box::leak(Box::new([Step::new(&FIRST), Step::new(&SECOND)]));
    static HEADS: RefCell<HashMap<(u8, Row), Rc<TaskHead>, RandomState>> = RefCell::default();
}

/// How many ticks a lease lasts. A tick is a second.
pub(super) const LEASE: u8 = 2;
/// How many ticks the lease of a worker with long leases lasts.
pub(super) const LONG_LEASE: u8 = 4;
/// By how many ticks clocks may differ.
pub(super) const SKEW_TICKS: u16 = 2;
const SKEW: Duration = Duration::from_secs(SKEW_TICKS as u64);
/// After how many failed attempts in a row the task is ignored.
pub(super) const MAX_RETRY: u8 = 2;
/// How many snoozes in a row do not count as failed attempts.
pub(super) const MAX_SNOOZES: u8 = 1;
/// How many ticks a snoozed task waits, and a failed one that waits.
pub(super) const WAIT: u8 = 1;
/// How many ticks an ended task is kept.
const RETAIN: u8 = 1;

const fn row(code: u32, name: &'static str, role: Role) -> StatusRow {
    StatusRow { code, name, role, shards: 1 }
}

/// Returns the statuses of a step, whose codes begin with this one.
const fn rows(first: u32) -> [StatusRow; 5] {
    [
        row(first, "Pending", Role::Pending),
        row(first + 2, "InProgress", Role::InProgress),
        row(first + 4, "Failed", Role::Failed),
        row(first + 6, "Succeeded", Role::Succeeded),
        row(first + 8, "Ignored", Role::Ignored),
    ]
}

static ROWS: [[StatusRow; 5]; 2] = [rows(10), rows(20)];
static STATUSES: [StatusTable; 2] = [
    StatusTable { type_name: "First", rows: &ROWS[0], code_pad: 3, shard_pad: 3 },
    StatusTable { type_name: "Second", rows: &ROWS[1], code_pad: 3, shard_pad: 3 },
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
            max_snoozes: MAX_SNOOZES.into(),
            backoff: Backoff::None,
            retain: Some(ticks(RETAIN)),
            retain_ignored: Some(ticks(RETAIN)),
            ..TrackerConfig::declared(spec)
        };
        let long = TrackerConfig { lock_expire: ticks(LONG_LEASE), ..config.clone() };
        Self { use_case: UseCase::new(spec, "model"), config, long }
    }

    pub(super) fn writes<'a>(&'a self, lock_id: &'a str, now: Time) -> Writes<'a> {
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
