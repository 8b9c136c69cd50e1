//! A server in front of a client's database, so that other processes and cut connections reach a database without an address.

use std::sync::{Arc, OnceLock};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tracker_core::aws_sdk_dynamodb::Client;

/// The server. It has a thread and a runtime of its own, so that no test can block it.
#[derive(Debug)]
pub struct Gateway {
    pub endpoint: String,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Gateway {
    /// Serves what answers the requests of a client.
    pub async fn start(client: &Client) -> Self {
        let connector = connector_of(client).await;
        let (started, starts) = tokio::sync::oneshot::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                let service = Router::new().fallback(forward).with_state(connector);
                tokio::select! {
                    result = async { axum::serve(listener, service).await } => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { endpoint: format!("http://{}", starts.await.expect("a gateway that listens")), _stop: stop }
    }
}

async fn forward(State(connector): State<SharedHttpConnector>, headers: HeaderMap, body: Bytes) -> Response {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").unwrap();
    request.set_uri("http://database.invalid/").unwrap();
    for (name, value) in &headers {
        // The target says what to do. Other headers are about this connection.
        if let Some(value) = value.to_str().ok().filter(|_| name.as_str().starts_with("x-amz-")) {
            request.headers_mut().insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    match connector.call(request).await {
        Ok(response) => response_of(response).await,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:?}")).into_response(),
    }
}

async fn response_of(response: HttpResponse) -> Response {
    let mut builder = Response::builder().status(response.status().as_u16());
    for (name, value) in response.headers() {
        builder = builder.header(name, value);
    }
    let body = aws_smithy_types::byte_stream::ByteStream::new(response.into_body());
    let body = body.collect().await.expect("a body in memory").into_bytes();
    builder.body(Body::from(body)).expect("a response")
}

/// Returns the connector that a client uses.
async fn connector_of(client: &Client) -> SharedHttpConnector {
    let inner = client.config().http_client().expect("an HTTP client");
    let tap = Tap { inner, connector: Arc::default() };
    let config = client.config().to_builder().http_client(tap.clone());
    Client::from_conf(config.build()).list_tables().send().await.expect("a database that answers");
    tap.connector.get().cloned().expect("a connector, because a request was sent")
}

/// Keeps the connector that a request uses.
#[derive(Debug, Clone)]
struct Tap {
    inner: SharedHttpClient,
    connector: Arc<OnceLock<SharedHttpConnector>>,
}

impl HttpClient for Tap {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.inner.http_connector(settings, components);
        let _ = self.connector.set(connector.clone());
        connector
    }
}
