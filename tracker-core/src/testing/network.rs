//! An HTTP client that injects faults between a client and its database.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::{ConfigBag, RuntimeComponents, SharedHttpClient};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;

use super::connector::FaultyConnector;
use super::pools::{Pool, Pools};
use super::rates::Storm;
use super::{Fault, NetworkError, Rates, http};
use crate::time::{Clock, Sleep, SystemClock};

/// An HTTP client that wraps another one and injects faults. Clones share everything.
///
/// Faults come from a script ([`next`](Self::next)), or are drawn at random from a seed ([`seed`](Self::seed)). At
/// first there are none. The [module](super) has examples.
#[derive(Debug, Clone)]
pub struct FaultyNetwork {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) late: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct State {
    clock: Arc<dyn Clock>,
    script: VecDeque<(String, Fault)>,
    /// The random faults; `None` while there are none.
    storm: Option<Storm>,
    sent: BTreeMap<String, usize>,
    injected: BTreeMap<&'static str, usize>,
    pools: Pools,
    copies: VecDeque<Copy>,
    /// How many copies are kept at most.
    copies_kept: usize,
}

/// A request as it was sent, with the connector that it went to.
#[derive(Debug)]
struct Copy {
    operation: String,
    nth: usize,
    request: HttpRequest,
    to: SharedHttpConnector,
}

impl FaultyNetwork {
    /// Wraps an HTTP client. Pass a clone of the result to a client's configuration as its `http_client`.
    pub fn over(inner: impl HttpClient + 'static) -> Self {
        let state = State {
            clock: Arc::new(SystemClock),
            script: VecDeque::new(),
            storm: None,
            sent: BTreeMap::new(),
            injected: BTreeMap::new(),
            pools: Pools::default(),
            copies: VecDeque::new(),
            copies_kept: 0,
        };
        Self {
            inner: SharedHttpClient::new(inner),
            state: Arc::new(Mutex::new(state)),
            in_flight: Arc::default(),
            late: Arc::default(),
        }
    }

    /// Wraps the HTTP client of an SDK client. Returns a client that uses the network, and the network.
    ///
    /// # Errors
    ///
    /// [`NoHttpClient`](NetworkError::NoHttpClient) if the client's configuration has no HTTP client.
    pub fn around(client: &Client) -> Result<(Client, Self), NetworkError> {
        let network = Self::over(client.config().http_client().ok_or(NetworkError::NoHttpClient)?);
        let config = client.config().to_builder().http_client(network.clone());
        Ok((Client::from_conf(config.build()), network))
    }

    /// Sets the clock that delays and [dead connections](Self::kill_connections) use; [`SystemClock`] by default.
    ///
    /// A [`ManualClock`](super::ManualClock) should be the plain one. With
    /// [`auto_advancing`](super::ManualClock::auto_advancing), a delayed request is not late: it only advances the clock
    /// for everyone else.
    pub fn set_clock(&self, clock: impl Clock) {
        self.state().clock = Arc::new(clock);
    }

    /// Scripts the faults of the next requests of an operation, such as `UpdateItem`, one after another.
    ///
    /// Later calls add to the script. A scripted fault takes precedence over a random one.
    pub fn next(&self, operation: impl Into<String>, faults: impl IntoIterator<Item = Fault>) {
        let operation = operation.into();
        self.state().script.extend(faults.into_iter().map(|fault| (operation.clone(), fault)));
    }

    /// Draws faults at random from now on.
    ///
    /// The fault of a request depends on the seed, the rates, the operation, the item's key, and how many requests of
    /// this operation were sent for this key since the seed was set. The key is `Key`, or the attribute `key` of a
    /// new item, in any table. Scripted requests count; copies do not. So for each operation and key, the nth request
    /// meets the same fault again, whatever is sent for other keys.
    ///
    /// A test is reproducible if one worker at a time touches each key, by a clock of the test's. These are not
    /// reproducible:
    ///
    /// - Retries of the SDK. They use a token bucket that the whole process shares, so they depend on other tests.
    ///   Disable them: the tracker itself sends a write again if no response arrives, and any other error reaches the
    ///   test.
    /// - Requests without a key, such as `Query`, `Scan` and batches. Those of one operation are counted together,
    ///   and draw their faults in the order in which they are sent.
    /// - Two workers on one key. They draw in the order in which their requests arrive.
    ///
    /// # Examples
    ///
    /// A client without the retries of the SDK:
    ///
    /// ```
    /// use tracker_core::aws_sdk_dynamodb::Client;
    /// use tracker_core::aws_sdk_dynamodb::config::retry::RetryConfig;
    /// use tracker_core::testing::{FaultyNetwork, NetworkError, Rates};
    ///
    /// fn repeatable(client: &Client) -> Result<(Client, FaultyNetwork), NetworkError> {
    ///     let (client, network) = FaultyNetwork::around(client)?;
    ///     let config = client.config().to_builder().retry_config(RetryConfig::disabled());
    ///     network.seed(42, Rates::stormy());
    ///     Ok((Client::from_conf(config.build()), network))
    /// }
    /// ```
    pub fn seed(&self, seed: u64, rates: Rates) {
        self.state().storm.get_or_insert_default().seed(seed, rates);
    }

    /// Sets the rates of one operation, which override those of every [`seed`](Self::seed), earlier or later. They hold
    /// until [`calm`](Self::calm).
    ///
    /// Without a seed, the seed is 0, and other operations meet no random faults.
    pub fn rates_of(&self, operation: impl Into<String>, rates: Rates) {
        self.state().storm.get_or_insert_default().rates_of(operation.into(), rates);
    }

    /// Makes idle connections die silently, as those of a machine that was suspended: `of_each_pool` connections of each
    /// pool that was used so far.
    ///
    /// The next requests over such a pool are sent on its dead connections, one request on each. Such a request is not
    /// delivered. It fails after the client's read timeout, by the clock of [`set_clock`](Self::set_clock), or earlier if
    /// its own timeout ends; a client without timeouts waits for ever. After a try without a response, a tracker uses
    /// another pool. The SDK tells pools apart by the connect timeout and the read timeout of a client.
    ///
    /// A later call replaces the number.
    pub fn kill_connections(&self, of_each_pool: usize) {
        self.state().pools.kill(of_each_pool);
    }

    /// Ends all faults, scripted and random, and forgets the seed, all rates and all dead connections. Requests that are
    /// [late](Self::late) already still arrive.
    pub fn calm(&self) {
        let mut state = self.state();
        state.script.clear();
        state.storm = None;
        state.pools.kill(0);
    }

    /// Returns how many faults of the script are left.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.state().script.len()
    }

    /// Returns how often each fault happened, by its [name](Fault::name). A request on a [dead
    /// connection](Self::kill_connections) counts as `DeadConnection`.
    #[must_use]
    pub fn injected(&self) -> BTreeMap<&'static str, usize> {
        self.state().injected.clone()
    }

    /// Returns how many requests of an operation were sent. Lost requests count; copies do not.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.state().sent.get(operation).copied().unwrap_or_default()
    }

    /// Returns how many requests were sent. Lost requests count; copies do not.
    #[must_use]
    pub fn count_all(&self) -> usize {
        self.state().sent.values().sum()
    }

    /// Returns how many requests the database has now and has not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Returns how many requests and copies are late: they have yet to be delivered, or answered.
    #[must_use]
    pub fn late(&self) -> usize {
        self.late.load(Ordering::SeqCst)
    }

    /// Keeps copies of the last `most` requests, for [`deliver_again`](Self::deliver_again); 0 by default. Drops the
    /// copies that were kept before.
    pub fn keep_copies(&self, most: usize) {
        let mut state = self.state();
        state.copies_kept = most;
        state.copies.truncate(0);
    }

    /// Delivers a copy of the nth request of an operation, and returns the HTTP status of the response.
    ///
    /// Requests are counted from 0. Requests that met a fault count as well. The copy itself meets no fault.
    ///
    /// # Errors
    ///
    /// - [`NoCopy`](NetworkError::NoCopy) if no copy of that request was kept.
    /// - [`Unanswered`](NetworkError::Unanswered) if no response to the copy arrives.
    pub async fn deliver_again(&self, operation: &str, nth: usize) -> Result<u16, NetworkError> {
        let found = {
            let state = self.state();
            let mut copies = state.copies.iter();
            let copy = copies.find(|copy| copy.operation == operation && copy.nth == nth);
            copy.and_then(|copy| Some((copy.request.try_clone()?, copy.to.clone())))
        };
        let Some((request, to)) = found else {
            return Err(NetworkError::NoCopy { operation: operation.to_owned(), nth });
        };
        let response = to.call(request).await.map_err(NetworkError::Unanswered)?;
        Ok(response.status().as_u16())
    }

    /// Counts a request, keeps a copy of it, and returns what happens to it.
    pub(super) fn admit(&self, request: &HttpRequest, to: &SharedHttpConnector, pool: Pool) -> Admitted {
        let operation = http::operation(request);
        let mut state = self.state();
        let sent = state.sent.entry(operation.to_owned()).or_default();
        let nth = *sent;
        *sent += 1;
        if state.copies_kept > 0
            && let Some(copy) = request.try_clone()
        {
            while state.copies.len() >= state.copies_kept {
                state.copies.pop_front();
            }
            state.copies.push_back(Copy {
                operation: operation.to_owned(),
                nth,
                request: copy,
                to: to.clone(),
            });
        }
        // Drawn even if the script takes precedence, so that later requests draw the same faults without the script.
        let drawn = state.storm.as_mut().map(|storm| storm.draw(operation, &http::key(request)));
        // Before the script, whose next fault is for a request that can meet it.
        if state.pools.take_dead(pool) {
            *state.injected.entry("DeadConnection").or_default() += 1;
            return Admitted::OnDeadConnection;
        }
        let scripted = state.script.iter().position(|(of, _)| of == operation);
        let scripted = scripted.and_then(|nth| state.script.remove(nth)).map(|(_, fault)| fault);
        let fault = scripted.or(drawn).unwrap_or(Fault::None);
        if !http::fits(request, fault) {
            return Admitted::With(Fault::None);
        }
        *state.injected.entry(fault.name()).or_default() += 1;
        Admitted::With(fault)
    }

    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        let clock = Arc::clone(&self.state().clock);
        clock.sleep(duration)
    }

    /// Returns a guard. While it lives, one request fewer keeps the clock from being advanced.
    pub(super) fn wait(&self) -> Waiting {
        Waiting::on(Arc::clone(&self.state().clock))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for FaultyNetwork {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let pool = Pool::from(settings);
        self.state().pools.see(pool);
        SharedHttpConnector::new(FaultyConnector { inner, network: self.clone(), pool })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

/// What happens to a request.
pub(super) enum Admitted {
    With(Fault),
    OnDeadConnection,
}

/// A request that waits for its delay, and not for the database.
#[derive(Debug, Clone)]
pub(super) struct Waiting(Arc<Mutex<Option<Arc<dyn Clock>>>>);

impl Waiting {
    /// Begins a wait. Until its end, one request fewer keeps the clock from being advanced.
    pub(super) fn on(clock: Arc<dyn Clock>) -> Self {
        clock.__count_requests(-1);
        Self(Arc::new(Mutex::new(Some(clock))))
    }

    /// Ends the wait of all clones.
    pub(super) fn end(&self) {
        if let Some(clock) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            clock.__count_requests(1);
        }
    }
}

/// Counts as one while it lives.
#[derive(Debug)]
pub(super) struct CountGuard(Arc<AtomicUsize>);

impl CountGuard {
    pub(super) fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
