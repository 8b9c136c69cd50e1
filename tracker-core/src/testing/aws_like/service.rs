//! What the parts of the service share: its clock, its conditions, and what it remembers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::conditions::{Conditions, Spread};
use super::partitions::{Direction, Partitions, Place};
use super::replicas::Replicas;
use crate::runtime::on_drop::OnDrop;
use crate::testing::network::Waiting;
use crate::testing::pools::Pool;
use crate::testing::rates::fraction;
use crate::time::{Clock, SystemClock};

/// The service. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Service {
    state: Arc<Mutex<State>>,
    pub(super) replicas: Replicas,
    /// Is held while the copies of a table are made.
    pub(super) adding: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    clock: Arc<dyn Clock>,
    conditions: Conditions,
    /// How often each name was drawn for.
    drawn: HashMap<u64, u64>,
    partitions: Partitions,
    last_used: BTreeMap<Pool, Duration>,
    /// When a description first shows each new table.
    defined: HashMap<String, Duration>,
    /// The items of the transactions under way, with the tokens of these.
    in_transaction: HashMap<String, Held>,
    counts: BTreeMap<&'static str, usize>,
}

/// An item that a transaction holds.
#[derive(Debug)]
struct Held {
    token: String,
    /// When the transaction lets go of the item; `None` while it is still applied.
    until: Option<Duration>,
}

impl Service {
    pub(super) fn new(conditions: Conditions, replicas: Replicas) -> Self {
        let state = State {
            clock: Arc::new(SystemClock),
            conditions,
            drawn: HashMap::new(),
            partitions: Partitions::default(),
            last_used: BTreeMap::new(),
            defined: HashMap::new(),
            in_transaction: HashMap::new(),
            counts: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), replicas, adding: Arc::default() }
    }

    /// Sets another clock. Its times say nothing of those of the last one, so whatever lags becomes visible.
    pub(super) fn set_clock(&self, clock: Arc<dyn Clock>) {
        // A copy that fails says so to the next reader.
        let _ = self.replicas.catch_up(Duration::MAX);
        let mut state = self.state();
        state.clock = clock;
        state.defined.clear();
        state.last_used.clear();
        state.partitions = Partitions::default();
        state.in_transaction.clear();
    }

    pub(super) fn set_conditions(&self, conditions: Conditions) {
        self.state().conditions = conditions;
    }

    pub(super) fn conditions(&self) -> Conditions {
        self.state().conditions.clone()
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.state().counts.clone()
    }

    /// Returns the copies as they are now visible.
    pub(super) fn caught_up(&self, what: &'static str) -> Result<&Replicas, ConnectorError> {
        let invisible =
            self.replicas.catch_up(self.now()).map_err(|error| ConnectorError::other(error.into(), None))?;
        if invisible > 0 {
            self.count(what);
        }
        Ok(&self.replicas)
    }

    /// Returns the token of the transaction under way that has an item.
    pub(super) fn transaction_of(&self, id: &str) -> Option<String> {
        let now = self.now();
        let mut state = self.state();
        if state.in_transaction.get(id)?.until.is_some_and(|until| until <= now) {
            state.in_transaction.remove(id);
        }
        state.in_transaction.get(id).map(|held| held.token.clone())
    }

    /// Holds the items of a transaction until the guard is dropped, and for a while after it: until its response has arrived.
    pub(super) fn hold(
        &self,
        ids: Vec<String>,
        token: &str,
        after: Duration,
    ) -> OnDrop<impl FnOnce() + use<>> {
        let held = |id: &String| (id.clone(), Held { token: token.to_owned(), until: None });
        self.state().in_transaction.extend(ids.iter().map(held));
        let service = self.clone();
        OnDrop::new(move || {
            let until = service.now().saturating_add(after);
            let mut state = service.state();
            for id in &ids {
                if after.is_zero() {
                    state.in_transaction.remove(id);
                } else if let Some(held) = state.in_transaction.get_mut(id) {
                    held.until = Some(until);
                }
            }
        })
    }

    /// Draws a time of a distribution.
    pub(super) fn lag(&self, spread: Spread, of: &str) -> Duration {
        if spread == Spread::none() { Duration::ZERO } else { spread.at(self.draw(&format!("lag\n{of}"))) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.state().counts.entry(what).or_default() += 1;
    }

    pub(super) fn now(&self) -> Duration {
        let clock = Arc::clone(&self.state().clock);
        clock.now().monotonic
    }

    /// Sleeps by the clock. While it sleeps, a test may advance the clock.
    pub(super) async fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        let clock = Arc::clone(&self.state().clock);
        let waiting = Waiting::on(Arc::clone(&clock));
        let _end = OnDrop::new(move || waiting.end());
        clock.sleep(duration).await;
    }

    /// Draws a number between 0 and 1. The nth number for a name is always the same.
    pub(super) fn draw(&self, name: &str) -> f64 {
        self.state().draw(name)
    }

    /// Returns whether something happens that has this probability.
    pub(super) fn happens(&self, what: &'static str, name: &str, probability: f64) -> bool {
        probability > 0.0 && self.draw(&format!("{what}\n{name}")) < probability && {
            self.count(what);
            true
        }
    }

    /// Returns whether the connections of a pool have died, because nobody has used them.
    pub(super) fn has_died(&self, pool: Pool) -> bool {
        let now = self.now();
        let mut state = self.state();
        let last = state.last_used.insert(pool, now);
        let limit = state.conditions.idle_timeout;
        let idle = last.map(|last| now.saturating_sub(last));
        let died = idle.is_some_and(|idle| limit.is_some_and(|limit| idle > limit));
        if died {
            *state.counts.entry("IdleConnection").or_default() += 1;
        }
        died
    }

    /// Notes that a table was created.
    pub(super) fn define(&self, table: &str) {
        let lag = self.lag(self.conditions().definition_lag, table);
        if !lag.is_zero() {
            let visible = self.now().saturating_add(lag);
            self.state().defined.insert(table.to_owned(), visible);
        }
    }

    /// Returns whether a description does not know a new table yet.
    pub(super) fn hides_definition(&self, table: &str) -> bool {
        let now = self.now();
        let hides = self.state().defined.get(table).is_some_and(|visible| now < *visible);
        if hides {
            self.count("UnknownTable");
        }
        hides
    }

    /// Returns whether a place has no units left.
    pub(super) fn is_exhausted(&self, place: &Place, direction: Direction) -> bool {
        let now = self.now();
        let mut state = self.state();
        let Some(throughput) = state.conditions.throughput else { return false };
        state.partitions.is_exhausted(&throughput, place, direction, now)
    }

    pub(super) fn take_units(&self, place: &Place, direction: Direction, units: f64) {
        let now = self.now();
        let mut state = self.state();
        if let Some(throughput) = state.conditions.throughput {
            state.partitions.take(&throughput, place, direction, now, units);
        }
    }
}

impl State {
    fn draw(&mut self, name: &str) -> f64 {
        let nth = self.drawn.entry(xxh3_64_with_seed(name.as_bytes(), 0)).or_default();
        *nth += 1;
        fraction(xxh3_64_with_seed(format!("{name}\n{nth}").as_bytes(), self.conditions.seed))
    }
}

#[cfg(test)]
impl Service {
    /// Holds an item as a transaction does that is under way.
    pub(super) fn hold_for_test(&self, id: &str, token: &str) {
        let held = Held { token: token.to_owned(), until: None };
        self.state().in_transaction.insert(id.to_owned(), held);
    }

    pub(super) fn let_go_for_test(&self) {
        self.state().in_transaction.clear();
    }
}
