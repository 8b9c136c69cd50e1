//! Watches every try of a request: when it was sent, on which connections, and whether DynamoDB answered it.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut,
};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use chrono::{DateTime, Utc};

use super::service_clock::ServiceClock;
use crate::error::chain;

/// The interceptor of a client.
#[derive(Debug, Clone)]
pub(super) struct Tries {
    service_clock: ServiceClock,
    connections: Connections,
}

/// When the SDK last sent a request, how often so far, and on which connections.
#[derive(Debug)]
struct Sent {
    at: DateTime<Utc>,
    times: u32,
    pool: u32,
    /// Whether an earlier try may have reached DynamoDB.
    has_left: bool,
    /// Whether the last try has not ended yet.
    is_under_way: bool,
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

/// Whether a response belongs to the SDK's first try. Then no earlier try can have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FirstTry(pub(super) bool);

/// A request of which no try has left this machine.
#[derive(Debug, thiserror::Error)]
#[error("the request was not sent")]
pub(super) struct NotSent(
    #[source] OrchestratorError<aws_smithy_runtime_api::client::interceptors::context::Error>,
);

/// A response without the signs of DynamoDB.
#[derive(Debug, thiserror::Error)]
#[error(
    "a response with status {status} is not from DynamoDB, because {why}; look for a proxy or a captive portal on the \
     way to the endpoint"
)]
pub(super) struct NotFromDynamoDb {
    status: u16,
    why: &'static str,
}

impl Tries {
    pub(super) fn new(service_clock: ServiceClock, connections: Connections) -> Self {
        Self { service_clock, connections }
    }
}

impl Intercept for Tries {
    fn name(&self) -> &'static str {
        "Tries"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(self.service_clock.begin_request());
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let last = config.load::<Sent>();
        let times = last.map_or(0, |sent| sent.times) + 1;
        let has_left = last.is_some_and(|sent| sent.has_left);
        let pool = self.connections.pool();
        let sent = Sent { at: self.service_clock.now(), times, pool, has_left, is_under_way: true };
        // What is stored replaces the timeouts of the client, also for the later tries.
        let timeouts =
            config.load::<TimeoutConfig>().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts = timeouts.connect_timeout(self.connections.timeout_of(pool));
        config.interceptor_state().store_put(timeouts.build());
        config.interceptor_state().store_put(sent);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(sent) = config.load::<Sent>() else { return Ok(()) };
        context.response_mut().add_extension(FirstTry(sent.times == 1));
        if has_request_id(context.response()) {
            self.service_clock.compare(sent.at, context.response().headers().get("date"));
        }
        Ok(())
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let foreign = context.response().map(why_foreign);
        if let (Some(Some(foreign)), Some(result)) = (&foreign, context.output_or_error_mut()) {
            let foreign = NotFromDynamoDb { ..*foreign };
            *result = Err(OrchestratorError::response(foreign.into()));
        }
        let Some(&Sent { at, times, pool, has_left, is_under_way }) = config.load::<Sent>() else {
            return Ok(());
        };
        if !matches!(foreign, Some(None)) {
            self.connections.leave(pool);
        }
        // Without a connection, the try has sent nothing.
        let was_sent = is_under_way
            && components.http_client().is_some()
            && !(foreign.is_none()
                && matches!(context.output_or_error(), Some(Err(error)) if is_without_connection(error)));
        let sent = Sent { at, times, pool, has_left: has_left || was_sent, is_under_way: false };
        config.interceptor_state().store_put(sent);
        Ok(())
    }

    fn modify_before_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let may_have_left = config.load::<Sent>().is_some_and(|sent| sent.has_left || sent.is_under_way);
        if let (false, Some(result)) = (may_have_left, context.output_or_error_mut())
            && result.is_err()
            && let Err(error) = std::mem::replace(result, Err(OrchestratorError::other("replaced")))
        {
            *result = Err(OrchestratorError::other(NotSent(error)));
        }
        Ok(())
    }
}

/// Returns whether a try failed before a connection could send anything: no connection was made, or the endpoint refused it.
fn is_without_connection(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|error| {
        let refused = |io: &io::Error| io.kind() == io::ErrorKind::ConnectionRefused;
        error.downcast_ref::<io::Error>().is_some_and(refused)
            || error
                .downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

fn has_request_id(response: &HttpResponse) -> bool {
    response.headers().get("x-amzn-requestid").is_some_and(|id| !id.is_empty())
}

/// Returns why a response is not from DynamoDB, if that is so. DynamoDB sends the id of the request, and mostly the
/// CRC-32 of the body. Whatever else answers, such as a proxy, says nothing about the request.
fn why_foreign(response: &HttpResponse) -> Option<NotFromDynamoDb> {
    let checksum = response.headers().get("x-amz-crc32").and_then(|sum| sum.parse::<u32>().ok());
    let is_changed = |sum: u32| response.body().bytes().is_some_and(|body| crc32fast::hash(body) != sum);
    let why = if !has_request_id(response) {
        "it has no `x-amzn-requestid`"
    } else if checksum.is_some_and(is_changed) {
        "its body does not have the checksum of its `x-amz-crc32`"
    } else {
        return None;
    };
    Some(NotFromDynamoDb { status: response.status().as_u16(), why })
}

/// How many pools of connections a client uses in turn.
const POOLS: u32 = 16;

/// The connections of a client. After a try without an answer, the next try uses another pool, because the idle
/// connections of the same pool may be dead as well.
///
/// The SDK's HTTP client has a pool for each connect timeout, so a connect timeout that is longer by a nanosecond selects
/// the next pool. A HTTP client that ignores the connect timeout has a single pool.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    /// The connect timeout of the first pool.
    connect_timeout: Duration,
    pool: Arc<AtomicU32>,
}

impl Connections {
    pub(super) fn new(connect_timeout: Duration) -> Self {
        Self { connect_timeout, pool: Arc::default() }
    }

    /// Returns connections that are never shared with these.
    pub(super) fn separate(&self) -> Self {
        Self::new(self.connect_timeout + Duration::from_nanos(POOLS.into()))
    }

    fn pool(&self) -> u32 {
        self.pool.load(Ordering::Relaxed)
    }

    /// Returns the connect timeout that selects a pool.
    fn timeout_of(&self, pool: u32) -> Duration {
        self.connect_timeout + Duration::from_nanos((pool % POOLS).into())
    }

    /// Leaves a pool for the next one, unless another request has done so already.
    fn leave(&self, pool: u32) {
        let next = pool.wrapping_add(1);
        let _ = self.pool.compare_exchange(pool, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aws_sdk_dynamodb::config::http::HttpRequest;
    use aws_sdk_dynamodb::config::retry::RetryConfig;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_dynamodb::{Client, Config};
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::time::SystemClock;

    const SECOND: Duration = Duration::from_secs(1);

    /// A database that never answers.
    #[derive(Debug)]
    struct Silent;

    impl HttpConnector for Silent {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(std::future::pending())
        }
    }

    /// By Tokio's clock, which jumps to the next timeout.
    #[tokio::test(start_paused = true)]
    async fn each_try_has_another_pool_and_the_same_timeouts() {
        let settings = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&settings);
        let http = http_client_fn(move |settings, _| {
            seen.lock().unwrap().push((settings.connect_timeout(), settings.read_timeout()));
            SharedHttpConnector::new(Silent)
        });
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(3 * SECOND).read_timeout(2 * SECOND);
        let clock = ServiceClock::new(Arc::new(SystemClock), SECOND);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(http)
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .interceptor(Tries::new(clock, Connections::new(SECOND)));
        let begin = tokio::time::Instant::now();
        Client::from_conf(config.build()).list_tables().send().await.unwrap_err();
        assert_eq!(begin.elapsed().as_secs(), 9, "three tries of three seconds");
        let tries = (0..3).map(|pool| (Some(SECOND + Duration::from_nanos(pool)), Some(2 * SECOND)));
        assert_eq!(*settings.lock().unwrap(), tries.collect::<Vec<_>>());
    }

    fn response(headers: &[(&'static str, &'static str)]) -> HttpResponse {
        let mut response = HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from("{}"));
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    #[test]
    fn response_is_believed_with_a_request_id_and_the_right_checksum() {
        let why = |headers: &[_]| why_foreign(&response(headers)).map(|foreign| foreign.why);
        assert_eq!(why(&[]), Some("it has no `x-amzn-requestid`"));
        assert_eq!(why(&[("x-amzn-requestid", "")]), Some("it has no `x-amzn-requestid`"));
        assert_eq!(why(&[("x-amzn-RequestId", "A")]), None);
        // The checksum of `{}`.
        assert_eq!(why(&[("x-amzn-requestid", "A"), ("x-amz-crc32", "2745614147")]), None);
        let changed = why(&[("x-amzn-requestid", "A"), ("x-amz-crc32", "2745614148")]);
        assert_eq!(changed, Some("its body does not have the checksum of its `x-amz-crc32`"));
    }

    #[test]
    fn pool_is_left_once_for_all_requests_that_used_it() {
        let connections = Connections::new(Duration::from_secs(3));
        let timeout = |connections: &Connections| connections.timeout_of(connections.pool());
        let first = timeout(&connections);
        connections.leave(0);
        connections.leave(0);
        assert_eq!(connections.pool(), 1);
        assert_ne!(timeout(&connections), first);
        let separate = connections.separate();
        let pools = |connections: &Connections| -> Vec<_> {
            (0..40).map(|pool| connections.timeout_of(pool)).collect()
        };
        assert!(pools(&separate).iter().all(|pool| !pools(&connections).contains(pool)));
    }
}
