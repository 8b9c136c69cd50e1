//! A connector that injects the faults of a network.

use std::io;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::runtime::Handle;

use super::network::{Admitted, CountGuard, FaultyNetwork, Waiting};
use super::pools::Pool;
use super::{Fault, http};
use crate::runtime::on_drop::OnDrop;

/// How long DynamoDB knows the token of a transaction.
const TOKEN: Duration = Duration::from_mins(10);

/// Delivers requests to another connector, each with the fault that the network has for it.
#[derive(Debug, Clone)]
pub(super) struct FaultyConnector {
    pub(super) inner: SharedHttpConnector,
    pub(super) network: FaultyNetwork,
    pub(super) pool: Pool,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let admitted = self.network.admit(&request, &self.inner, self.pool);
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let fault = match admitted {
                Admitted::With(fault) => fault,
                Admitted::OnDeadConnection => return connector.wait_in_vain().await,
            };
            match fault {
                Fault::None => connector.deliver(request).await,
                Fault::DropRequest => Err(http::connection_lost(fault)),
                Fault::RefuseConnection => {
                    Err(ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionRefused).into()))
                }
                Fault::DropResponse => {
                    connector.deliver(request).await?;
                    Err(http::connection_lost(fault))
                }
                Fault::Delay(delay) => connector.deliver_after(delay, request).await,
                Fault::DuplicateLate(delay) => connector.deliver_twice(delay, request).await,
                Fault::Conflict | Fault::ThrottleMembers if http::actions(&request) > 0 => {
                    http::cancelled(&request, fault)
                }
                Fault::Throttle
                | Fault::InternalError
                | Fault::Deny
                | Fault::Conflict
                | Fault::InProgress => http::error_response(fault),
                Fault::InternalErrorAfterApplying => {
                    connector.deliver(request).await?;
                    http::error_response(fault)
                }
                Fault::ForeignResponse => http::foreign_response(),
                Fault::CutBody => http::cut_body(connector.deliver(request).await?).await,
                Fault::ThrottleMembers | Fault::RefuseMember => {
                    match http::without_members(&request, fault) {
                        Some((body, left)) => {
                            let response = connector.deliver(http::with_body(request, body)).await?;
                            http::with_refused_members(response, fault, left).await
                        }
                        None => connector.deliver(request).await,
                    }
                }
                Fault::Unprocessed => match http::halves(&request) {
                    Some(halves) => {
                        let response = connector.deliver(http::with_body(request, halves.first)).await?;
                        http::with_unprocessed(response, halves.rest).await
                    }
                    None => connector.deliver(request).await,
                },
            }
        })
    }
}

impl FaultyConnector {
    async fn deliver(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let _in_flight = CountGuard::new(&self.network.in_flight);
        self.inner.call(request).await
    }

    /// Delivers a request after a delay, even if the caller stops waiting.
    async fn deliver_after(
        self,
        delay: Duration,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        // The delay begins now, not when the task is first polled.
        let (sleep, late) = (self.network.sleep(delay), CountGuard::new(&self.network.late));
        let (waiting, _caller) = self.wait();
        let delivered = detached(async move {
            sleep.await;
            waiting.end();
            let response = self.deliver(request).await;
            drop(late);
            response
        });
        delivered.await.unwrap_or_else(|| Err(http::connection_lost(Fault::Delay(delay))))
    }

    /// Waits on a dead connection until the read timeout.
    async fn wait_in_vain(&self) -> Result<HttpResponse, ConnectorError> {
        let _waiting = self.wait();
        match self.pool.read_timeout {
            Some(timeout) => self.network.sleep(timeout).await,
            None => std::future::pending().await,
        }
        Err(ConnectorError::timeout("no response began within the read timeout".into()))
    }

    /// Waits for something other than the database. The wait ends with the caller at the latest.
    fn wait(&self) -> (Waiting, OnDrop<impl FnOnce() + use<>>) {
        let waiting = self.network.wait();
        let caller = waiting.clone();
        (waiting, OnDrop::new(move || caller.end()))
    }

    /// Delivers a request, and a copy of it some time after the response. Both go on if the caller stops waiting.
    async fn deliver_twice(
        self,
        delay: Duration,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let copy =
            request.try_clone().map(|copy| if delay < TOKEN { copy } else { http::forget_token(copy) });
        let late = CountGuard::new(&self.network.late);
        let delivered = detached(async move {
            let response = self.deliver(request).await;
            if let (Some(copy), Ok(runtime)) = (copy, Handle::try_current()) {
                let sleep = self.network.sleep(delay);
                runtime.spawn(async move {
                    sleep.await;
                    // The caller has its response already, and does not see this one.
                    let _ = self.deliver(copy).await;
                    drop(late);
                });
            }
            response
        });
        delivered.await.unwrap_or_else(|| Err(http::connection_lost(Fault::DuplicateLate(delay))))
    }
}

/// Runs a future in a spawned task, so that it goes on if the caller's future is dropped.
///
/// Without a Tokio runtime, the caller runs it. Returns `None` if the runtime shuts down.
pub(super) async fn detached<R: Send + 'static>(
    future: impl Future<Output = R> + Send + 'static,
) -> Option<R> {
    let Ok(runtime) = Handle::try_current() else {
        return Some(future.await);
    };
    match runtime.spawn(future).await {
        Ok(result) => Some(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_smithy_runtime_api::client::http::http_client_fn;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::testing::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    /// A database that answers once the test adds permits.
    #[derive(Debug, Clone)]
    struct Slow {
        requests: Arc<AtomicUsize>,
        responses: Arc<Semaphore>,
    }

    impl HttpConnector for Slow {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let slow = self.clone();
            HttpConnectorFuture::new(async move {
                slow.requests.fetch_add(1, Ordering::SeqCst);
                let _permit = slow.responses.acquire().await;
                Ok(HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from("{}")))
            })
        }
    }

    /// Returns a slow database, and a faulty connector to it.
    fn slow() -> (Slow, FaultyConnector) {
        let slow = Slow { requests: Arc::default(), responses: Arc::new(Semaphore::new(0)) };
        let inner = SharedHttpConnector::new(slow.clone());
        let network = FaultyNetwork::over({
            let inner = inner.clone();
            http_client_fn(move |_, _| inner.clone())
        });
        (slow, FaultyConnector { inner, network, pool: Pool::default() })
    }

    fn update() -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from("{}"));
        request.headers_mut().insert("x-amz-target", "DynamoDB_20120810.UpdateItem");
        request
    }

    async fn wait_until(holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
    }

    #[tokio::test]
    async fn copy_is_sent_although_the_caller_has_stopped_waiting() {
        let ((slow, connector), clock) = (slow(), ManualClock::new());
        let network = &connector.network;
        network.set_clock(clock.clone());
        network.next("UpdateItem", [Fault::DuplicateLate(SECOND)]);
        let mut caller = connector.call(update());
        assert!((&mut caller).now_or_never().is_none());
        let requests = || slow.requests.load(Ordering::SeqCst);
        wait_until(|| requests() == 1).await;
        assert_eq!(network.late(), 1);
        drop(caller);
        slow.responses.add_permits(2);
        wait_until(|| clock.next_wake() == Some(SECOND) && network.in_flight() == 0).await;
        assert_eq!((requests(), network.late()), (1, 1));
        clock.advance(SECOND);
        wait_until(|| network.late() == 0).await;
        assert_eq!(requests(), 2);
        assert_eq!(network.injected()["DuplicateLate"], 1);
    }

    #[test]
    fn without_a_runtime_no_copy_is_sent_or_counted() {
        let (slow, connector) = slow();
        slow.responses.add_permits(1);
        connector.network.next("UpdateItem", [Fault::DuplicateLate(SECOND)]);
        assert!(connector.call(update()).now_or_never().unwrap().is_ok());
        assert_eq!((connector.network.late(), connector.network.injected().len()), (0, 0));
    }
}
