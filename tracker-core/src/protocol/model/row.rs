//! The stored task, in a form that is small enough for millions of states.

use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::declare::spec::Wire;
use crate::item::attribute::{self, Item, NOT_LOCKED, number, string, time};
use crate::item::history::{History, HistoryDetail, HistoryEntry};
use crate::time::Timestamp;

/// The key of the task.
pub(super) const KEY: &str = "model____task";

/// An attribute of the user's.
const BORN: &str = "born";
/// The epoch second of tick 0.
const ORIGIN: u32 = 1_000_000;

/// A stored time: a tick, and a few microseconds for later writes within the tick. 0 is "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Time(pub(super) u16);

/// How many microseconds a tick has in the model.
const MICROS: u16 = 16;

impl Time {
    pub(super) const NEVER: Self = Self(0);

    /// Returns the time of tick 0.
    fn origin() -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(ORIGIN.into()))
    }

    /// Returns the first time of a tick.
    pub(super) fn at(tick: u16) -> Self {
        Self(tick * MICROS)
    }

    /// Returns the time some ticks later.
    pub(super) fn later(self, ticks: u16) -> Self {
        Self(self.0 + ticks * MICROS)
    }

    /// Returns the time as the crate has it. Every state asks for the times of its clocks, so each is computed once.
    pub(super) fn stamp(self) -> Timestamp {
        static STAMPS: LazyLock<Vec<Timestamp>> = LazyLock::new(|| {
            let later = (1..=u16::MAX).map(|time| {
                let ticks = Duration::from_secs(u64::from(time / MICROS));
                Time::origin().plus(ticks + Duration::from_micros(u64::from(time % MICROS)))
            });
            std::iter::once(Timestamp::EPOCH).chain(later).collect()
        });
        STAMPS[usize::from(self.0)]
    }

    /// Returns a time of the crate as the model has it.
    pub(super) fn of(stamp: Timestamp) -> Self {
        if stamp == Timestamp::EPOCH {
            return Self::NEVER;
        }
        let since = stamp.since(Self::origin());
        let micros = u16::try_from(since.subsec_micros()).expect("few microseconds");
        assert!(micros < MICROS, "more writes in one tick than the model has microseconds");
        Self(u16::try_from(since.as_secs()).expect("few ticks") * MICROS + micros)
    }
}

/// The stored task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) status: u8,
    pub(super) retry: u8,
    pub(super) attempt: u8,
    /// The number of the lock; 0 if the task is free.
    pub(super) lock: u8,
    pub(super) last_lock: u8,
    pub(super) lost_lock: u8,
    pub(super) lost_attempts: u8,
    /// The length of the lease in ticks; 0 if the item has none.
    pub(super) lease: u8,
    pub(super) started_from: u8,
    pub(super) create_time: Time,
    pub(super) lock_time: Time,
    pub(super) update_time: Time,
    /// How many entries the history has.
    pub(super) history: u8,
    /// The time before which the task is not started; never if it can be started now.
    pub(super) run_at: Time,
    pub(super) snoozes: u8,
    /// The lock of the attempt that is asked to end; 0 without a request.
    pub(super) cancel: u8,
    /// The tick after which DynamoDB deletes the task; 0 if the task is kept.
    pub(super) expires_at: u16,
    /// The version of the data.
    pub(super) data: Data,
    /// The token of the create that made this task: an attribute of the user's, which every write keeps.
    pub(super) born: u8,
}

/// A version of the data: the lock under which it was written, and the number of the write under that lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Data {
    pub(super) lock: u8,
    pub(super) version: u8,
}

/// Returns the lock id of a number.
pub(super) fn lock_text(lock: u8) -> String {
    format!("{lock:032x}")
}

impl Row {
    /// Returns a new task, with the token of its create.
    pub(super) fn new(create_time: Time, token: u8, run_at: Time) -> Self {
        Self {
            status: 10,
            retry: 0,
            attempt: 0,
            lock: 0,
            last_lock: 0,
            lost_lock: token,
            lost_attempts: 0,
            lease: 0,
            started_from: 0,
            create_time,
            lock_time: Time::NEVER,
            update_time: create_time,
            history: 0,
            run_at,
            snoozes: 0,
            cancel: 0,
            expires_at: 0,
            data: Data { lock: 0, version: 0 },
            born: token,
        }
    }

    /// Returns the task as an item.
    pub(super) fn item(&self) -> Item {
        let lock = if self.lock == 0 { NOT_LOCKED.to_owned() } else { lock_text(self.lock) };
        let mut errors = History::parse(None, Wire::Native);
        for nth in 0..self.history {
            errors.push(HistoryEntry::new(nth.into(), Timestamp::EPOCH, "", ""), usize::MAX);
        }
        let data = u32::from(self.data.lock) * 256 + u32::from(self.data.version);
        let mut item = Item::from(
            [
                (attribute::KEY, string(KEY)),
                (attribute::STATUS, number(self.status)),
                (attribute::RETRY, number(self.retry)),
                (attribute::CREATE_TIME, time(self.create_time.stamp())),
                (attribute::UPDATE_TIME, time(self.update_time.stamp())),
                (attribute::LOCK, string(lock)),
                (attribute::LOCK_TIME, time(self.lock_time.stamp())),
                (attribute::DATA, number(data)),
                (BORN, number(self.born)),
                (attribute::ERRORS, errors.encode(HistoryDetail::All).expect("a history")),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        // Absent until a write sets them.
        let later = [
            (attribute::LAST_LOCK, self.last_lock, string(lock_text(self.last_lock))),
            (attribute::LOST_LOCK, self.lost_lock, string(lock_text(self.lost_lock))),
            (attribute::LOST_ATTEMPTS, self.lost_attempts, number(self.lost_attempts)),
            (attribute::LEASE_MS, self.lease, number(u32::from(self.lease) * 1000)),
            (attribute::STARTED_FROM, self.started_from, number(self.started_from)),
            (attribute::SNOOZES, self.snoozes, number(self.snoozes)),
            (attribute::CANCEL, self.cancel, string(lock_text(self.cancel))),
        ];
        // Only a task that Python has saved has no `attempt`, and no token either.
        if self.attempt > 0 || self.lost_lock > 0 {
            item.insert(attribute::ATTEMPT.to_owned(), number(self.attempt));
        }
        if self.run_at != Time::NEVER {
            item.insert(attribute::RUN_AT.to_owned(), time(self.run_at.stamp()));
        }
        if self.expires_at != 0 {
            let expires_at = number(ORIGIN + u32::from(self.expires_at));
            item.insert(attribute::EXPIRES_AT.to_owned(), expires_at);
        }
        for (name, stored, value) in later {
            if stored != 0 {
                item.insert(name.to_owned(), value);
            }
        }
        item
    }

    /// Returns the task of an item.
    pub(super) fn of(item: &Item) -> Self {
        let small = |name: &str| match item.get(name) {
            Some(AttributeValue::N(number)) => number.parse().expect("a small number"),
            Some(AttributeValue::S(text)) if text == NOT_LOCKED => 0,
            Some(AttributeValue::S(lock)) => u8::from_str_radix(lock, 16).expect("a lock"),
            _ => 0_u16.try_into().unwrap_or(0),
        };
        let moment = |name: &str| {
            let text = item.get(name).map(|text| text.as_s().expect("a text"));
            text.map_or(Time::NEVER, |text| Time::of(Timestamp::parse(text).expect("a time")))
        };
        let expires_at = item.get(attribute::EXPIRES_AT).map_or(0, |seconds| {
            seconds.as_n().expect("a number").parse::<u32>().expect("a number of seconds") - ORIGIN
        });
        let data: u16 = item[attribute::DATA].as_n().expect("a number").parse().expect("a version");
        let [lock, version] = data.to_be_bytes();
        let lease = item.get(attribute::LEASE_MS).map_or(0, |millis| {
            millis.as_n().expect("a number").parse::<u32>().expect("a number of milliseconds") / 1000
        });
        let errors = History::parse(item.get(attribute::ERRORS).cloned(), Wire::Native);
        Self {
            status: small(attribute::STATUS),
            retry: small(attribute::RETRY),
            attempt: small(attribute::ATTEMPT),
            lock: small(attribute::LOCK),
            last_lock: small(attribute::LAST_LOCK),
            lost_lock: small(attribute::LOST_LOCK),
            lost_attempts: small(attribute::LOST_ATTEMPTS),
            lease: lease.try_into().expect("few ticks"),
            started_from: small(attribute::STARTED_FROM),
            create_time: moment(attribute::CREATE_TIME),
            lock_time: moment(attribute::LOCK_TIME),
            update_time: moment(attribute::UPDATE_TIME),
            history: errors.entries().len().try_into().expect("few entries"),
            run_at: moment(attribute::RUN_AT),
            snoozes: small(attribute::SNOOZES),
            cancel: small(attribute::CANCEL),
            expires_at: expires_at.try_into().expect("few ticks"),
            data: Data { lock, version },
            born: small(BORN),
        }
    }
}
