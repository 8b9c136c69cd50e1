//! One connection through a faulty network.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::runtime::Handle;

use super::network::{Counted, FaultyNetwork};
use super::{Fault, http};

#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) inner: SharedHttpConnector,
    pub(super) network: FaultyNetwork,
}

impl HttpConnector for Link {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let fault = self.network.admit(&request, &self.inner);
        let link = self.clone();
        HttpConnectorFuture::new(async move {
            match fault {
                Fault::None => link.deliver(request).await,
                Fault::DropRequest => Err(http::lost(fault)),
                Fault::DropResponse => {
                    link.deliver(request).await?;
                    Err(http::lost(fault))
                }
                Fault::Delay(delay) => link.deliver_after(delay, request).await,
                Fault::DuplicateLate(delay) => link.deliver_twice(delay, request).await,
                Fault::Throttle | Fault::InternalError | Fault::Deny => http::error(fault),
                Fault::InternalErrorAfterApplying => {
                    link.deliver(request).await?;
                    http::error(fault)
                }
                Fault::CutBody => http::cut(link.deliver(request).await?).await,
                Fault::Unprocessed => match http::halves(&request) {
                    Some(halves) => {
                        let answer = link.deliver(http::with_body(request, halves.first)).await?;
                        http::with_unprocessed(answer, halves.rest).await
                    }
                    None => link.deliver(request).await,
                },
            }
        })
    }
}

impl Link {
    async fn deliver(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let _in_flight = Counted::new(&self.network.in_flight);
        self.inner.call(request).await
    }

    /// In a task of its own, as a packet on its way does not know that nobody waits for the answer any more.
    async fn deliver_after(
        self,
        delay: Duration,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        // From now on, and not from when the task is first polled.
        let (sleep, late) = (self.network.sleep(delay), Counted::new(&self.network.late));
        let delivered = detached(async move {
            sleep.await;
            let answer = self.deliver(request).await;
            drop(late);
            answer
        });
        delivered.await.unwrap_or_else(|| Err(http::lost(Fault::Delay(delay))))
    }

    /// In a task of its own, too: the copy is sent even where nobody waits for the first answer any more.
    async fn deliver_twice(
        self,
        delay: Duration,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let (copy, late) = (request.try_clone(), Counted::new(&self.network.late));
        let delivered = detached(async move {
            let answer = self.deliver(request).await;
            if let (Some(copy), Ok(runtime)) = (copy, Handle::try_current()) {
                let sleep = self.network.sleep(delay);
                runtime.spawn(async move {
                    sleep.await;
                    // Whoever sent it has moved on, and hears nothing of this answer.
                    let _ = self.deliver(copy).await;
                    drop(late);
                });
            }
            answer
        });
        delivered.await.unwrap_or_else(|| Err(http::lost(Fault::DuplicateLate(delay))))
    }
}

/// Runs a future in a task of its own, so that it goes on when the caller's future is dropped.
///
/// Without a Tokio runtime it runs in place. `None` where the runtime shuts down.
async fn detached<R: Send + 'static>(future: impl Future<Output = R> + Send + 'static) -> Option<R> {
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

    /// A database that answers nobody before it is let.
    #[derive(Debug, Clone)]
    struct Slow {
        asked: Arc<AtomicUsize>,
        answers: Arc<Semaphore>,
    }

    impl HttpConnector for Slow {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let slow = self.clone();
            HttpConnectorFuture::new(async move {
                slow.asked.fetch_add(1, Ordering::SeqCst);
                let _answer = slow.answers.acquire().await;
                Ok(HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from("{}")))
            })
        }
    }

    fn slow() -> (Slow, Link) {
        let slow = Slow { asked: Arc::default(), answers: Arc::new(Semaphore::new(0)) };
        let inner = SharedHttpConnector::new(slow.clone());
        let network = FaultyNetwork::over({
            let inner = inner.clone();
            http_client_fn(move |_, _| inner.clone())
        });
        (slow, Link { inner, network })
    }

    fn update() -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from("{}"));
        request.headers_mut().insert("x-amz-target", "DynamoDB_20120810.UpdateItem");
        request
    }

    async fn others_run() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_copy_is_sent_though_the_caller_has_given_up() {
        let ((slow, link), clock) = (slow(), ManualClock::new());
        link.network.set_clock(clock.clone());
        link.network.next("UpdateItem", [Fault::DuplicateLate(SECOND)]);
        let mut caller = link.call(update());
        assert!((&mut caller).now_or_never().is_none());
        others_run().await;
        assert_eq!((slow.asked.load(Ordering::SeqCst), link.network.late()), (1, 1));
        drop(caller);
        slow.answers.add_permits(2);
        others_run().await;
        assert_eq!((clock.next_wake(), link.network.in_flight(), link.network.late()), (Some(SECOND), 0, 1));
        clock.advance(SECOND);
        others_run().await;
        assert_eq!((slow.asked.load(Ordering::SeqCst), link.network.late()), (2, 0));
        assert_eq!(link.network.injected()["DuplicateLate"], 1);
    }

    #[test]
    fn without_a_runtime_no_copy_is_sent_or_counted() {
        let (slow, link) = slow();
        slow.answers.add_permits(1);
        link.network.next("UpdateItem", [Fault::DuplicateLate(SECOND)]);
        assert!(link.call(update()).now_or_never().unwrap().is_ok());
        assert_eq!((link.network.late(), link.network.injected().len()), (0, 0));
    }
}
