//! The network between a client and its database, with faults.

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
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use tokio::runtime::Handle;

use super::connector::Link;
use super::rates::Storm;
use super::{Fault, Rates, http};
use crate::time::{Clock, Sleep, SystemClock};

/// An HTTP client that injects faults into another one. Clones share everything.
///
/// Faults come from a script ([`next`](Self::next)), and otherwise by chance ([`seed`](Self::seed)); at first there
/// are none. See the [module](super) for an example.
#[derive(Debug, Clone)]
pub struct FaultyNetwork {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) late: Arc<AtomicUsize>,
}

/// What a [`FaultyNetwork`] cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The client's configuration holds no HTTP client.
    #[error(
        "the client's configuration holds no HTTP client to wrap: hand one to its `http_client`, or give `FaultyNetwork::over` one"
    )]
    NoHttpClient,
    /// There is no copy of the request.
    #[error("there is no copy of request {nth} of `{operation}`; `keep_copies` before it is sent")]
    NoCopy {
        /// The operation that was asked for.
        operation: String,
        /// The number of the request, counted from 0.
        nth: usize,
    },
    /// The copy got no answer.
    #[error("the copy got no answer")]
    Unanswered(#[source] ConnectorError),
}

#[derive(Debug)]
struct State {
    clock: Arc<dyn Clock>,
    script: VecDeque<(String, Fault)>,
    /// `None` while it is calm.
    storm: Option<Storm>,
    sent: BTreeMap<String, usize>,
    injected: BTreeMap<&'static str, usize>,
    copies: VecDeque<Copy>,
    copies_kept: usize,
}

/// A request as it was sent, and the connector that it went to.
#[derive(Debug)]
struct Copy {
    operation: String,
    nth: usize,
    request: HttpRequest,
    to: SharedHttpConnector,
}

impl FaultyNetwork {
    /// Wraps an HTTP client. Hand a clone of the result to a client's configuration as its `http_client`.
    pub fn over(inner: impl HttpClient + 'static) -> Self {
        let state = State {
            clock: Arc::new(SystemClock),
            script: VecDeque::new(),
            storm: None,
            sent: BTreeMap::new(),
            injected: BTreeMap::new(),
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

    /// Wraps the HTTP client of a client: gives the client that sends its requests through the network, and the network.
    ///
    /// # Errors
    ///
    /// [`NoHttpClient`](NetworkError::NoHttpClient) where its configuration holds none.
    pub fn around(client: &Client) -> Result<(Client, Self), NetworkError> {
        let network = Self::over(client.config().http_client().ok_or(NetworkError::NoHttpClient)?);
        let config = client.config().to_builder().http_client(network.clone());
        Ok((Client::from_conf(config.build()), network))
    }

    /// The clock by which requests are delayed and copies come late; [`SystemClock`] by default. A
    /// [`ManualClock`](super::ManualClock) should be one by which sleepers wait: an
    /// [auto-advancing](super::ManualClock::auto_advancing) one jumps by each delay, for all who share it.
    pub fn set_clock(&self, clock: impl Clock) {
        self.state().clock = Arc::new(clock);
    }

    /// What befalls the next requests of an operation, such as `UpdateItem`, one after the other; it comes after what
    /// was given before, and goes before what is by chance.
    pub fn next(&self, operation: impl Into<String>, faults: impl IntoIterator<Item = Fault>) {
        let operation = operation.into();
        self.state().script.extend(faults.into_iter().map(|fault| (operation.clone(), fault)));
    }

    /// Faults by chance, from now on.
    ///
    /// What is drawn for a request depends on the seed, the rates, its operation, the key of its item (`Key`, or the
    /// attribute `key` of a new item, in whichever table) and how many requests of this operation were sent for this key
    /// since; scripted ones count, and copies do not. So for each operation and key the nth request meets the same fault
    /// again, whatever is sent for other keys meanwhile. A test in which one worker at a time works on each key, by a clock
    /// of the test's, is repeated as a whole. What is not:
    ///
    /// - How often the SDK sends a request by itself. Whether it does is up to a budget that the whole process shares,
    ///   and so to what other tests have met. Switch it off: a write of which no answer came is sent again by the tracker
    ///   anyway, and any other error comes back to the test.
    /// - Requests that have no key, such as `Query`, `Scan` and batches: those of one operation are counted together, and
    ///   draw in the order in which they are sent.
    /// - Two workers on one key: they too draw in the order in which their requests arrive.
    ///
    /// # Examples
    ///
    /// A client whose requests are sent as often as the tracker says:
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

    /// Other rates for the requests of one operation, until [`calm`](Self::calm): instead of those that were given with
    /// the [`seed`](Self::seed), or are given with later ones. Without a seed it is 0, and other operations meet no faults.
    pub fn rates_of(&self, operation: impl Into<String>, rates: Rates) {
        self.state().storm.get_or_insert_default().rates_of(operation.into(), rates);
    }

    /// Ends all faults, scripted and by chance, and forgets the seed and all rates. What is [late](Self::late) already
    /// still arrives.
    pub fn calm(&self) {
        let mut state = self.state();
        state.script.clear();
        state.storm = None;
    }

    /// The faults of the script that did not happen yet.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.state().script.len()
    }

    /// How often each fault happened, by its [name](Fault::name).
    #[must_use]
    pub fn injected(&self) -> BTreeMap<&'static str, usize> {
        self.state().injected.clone()
    }

    /// How many requests of an operation were sent, lost ones included, and late copies not.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.state().sent.get(operation).copied().unwrap_or_default()
    }

    /// How many requests were sent.
    #[must_use]
    pub fn count_all(&self) -> usize {
        self.state().sent.values().sum()
    }

    /// How many requests the database has now and has not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// How many requests and copies are late: to be delivered yet, or to be answered.
    #[must_use]
    pub fn late(&self) -> usize {
        self.late.load(Ordering::SeqCst)
    }

    /// Keeps copies of that many of the last requests, for [`deliver_again`](Self::deliver_again). At first none are.
    pub fn keep_copies(&self, most: usize) {
        let mut state = self.state();
        state.copies_kept = most;
        state.copies.truncate(0);
    }

    /// Delivers a copy of the nth request of an operation, counted from 0, faults and lost ones included. Gives the
    /// status of the answer. The copy itself meets no fault.
    ///
    /// # Errors
    ///
    /// [`NoCopy`](NetworkError::NoCopy), [`Unanswered`](NetworkError::Unanswered).
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
        let answer = to.call(request).await.map_err(NetworkError::Unanswered)?;
        Ok(answer.status().as_u16())
    }

    /// Counts a request, and decides what befalls it.
    pub(super) fn admit(&self, request: &HttpRequest, to: &SharedHttpConnector) -> Fault {
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
        // Also where the script goes first: what is drawn for later requests does not depend on it.
        let drawn = state.storm.as_mut().map(|storm| storm.draw(operation, &http::key(request)));
        let scripted = state.script.iter().position(|(of, _)| of == operation);
        let scripted = scripted.and_then(|nth| state.script.remove(nth)).map(|(_, fault)| fault);
        let fault = scripted.or(drawn).unwrap_or(Fault::None);
        let fits = match fault {
            Fault::None => false,
            Fault::Unprocessed => http::halves(request).is_some(),
            // What comes from a stream cannot be sent twice, and nobody sends a copy without a runtime.
            Fault::DuplicateLate(_) => request.body().bytes().is_some() && Handle::try_current().is_ok(),
            _ => true,
        };
        if !fits {
            return Fault::None;
        }
        *state.injected.entry(fault.name()).or_default() += 1;
        fault
    }

    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        let clock = Arc::clone(&self.state().clock);
        clock.sleep(duration)
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
        SharedHttpConnector::new(Link { inner, network: self.clone() })
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

/// One of those that are counted, while it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
