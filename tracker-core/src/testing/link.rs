//! One connection through a faulty network.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::runtime::Handle;

use super::network::{Counted, FaultyNetwork};
use super::{Fault, content};
use crate::engine::detached;

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
                Fault::DropRequest => Err(content::lost(fault)),
                Fault::DropResponse => {
                    link.deliver(request).await?;
                    Err(content::lost(fault))
                }
                Fault::Delay(delay) => link.deliver_after(delay, request).await,
                Fault::DuplicateLate(delay) => link.deliver_twice(delay, request).await,
                Fault::Throttle | Fault::InternalError | Fault::Deny => content::error(fault),
                Fault::InternalErrorAfterApplying => {
                    link.deliver(request).await?;
                    content::error(fault)
                }
                Fault::CutBody => content::cut(link.deliver(request).await?).await,
                Fault::Unprocessed => match content::halves(&request) {
                    Some(halves) => {
                        let answer = link.deliver(content::with_body(request, halves.first)).await?;
                        content::with_member(answer, halves.rest).await
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
        delivered.await.unwrap_or_else(|| Err(content::lost(Fault::Delay(delay))))
    }

    async fn deliver_twice(
        self,
        delay: Duration,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let copy = request.try_clone();
        let answer = self.deliver(request).await;
        if let (Some(copy), Ok(runtime)) = (copy, Handle::try_current()) {
            let (sleep, late) = (self.network.sleep(delay), Counted::new(&self.network.late));
            runtime.spawn(async move {
                sleep.await;
                // Whoever sent it has moved on, and hears nothing of this answer.
                let _ = self.deliver(copy).await;
                drop(late);
            });
        }
        answer
    }
}
