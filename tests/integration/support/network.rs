//! The network between a tracker and its database: it loses what a test tells it to, keeps copies of what was
//! sent, and delivers them once more when told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::{Headers, StatusCode};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use chrono::{DateTime, Utc};

/// What befalls the next requests of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The database never sees it.
    LoseRequest,
    /// It is applied, and the answer lost.
    LoseAnswer,
    /// It is refused for want of permission, and not applied.
    Deny,
    /// It is throttled, and not applied: a shard of the index is too hot.
    Throttle,
    /// Half of a batch is processed, and the rest given back.
    Unprocessed,
}

#[derive(Debug, Clone)]
pub struct Network {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: VecDeque<(&'static str, Fault)>,
    sent: Vec<Copy>,
    date: Option<DateTime<Utc>>,
    /// The capacity units of every answer since [`Network::measure`], of tables and of indexes.
    measured: Option<Units>,
}

/// Capacity units, as the database reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    pub table: f64,
    pub index: f64,
}

/// A request as it was sent, and the connector that it went to.
#[derive(Debug)]
struct Copy {
    operation: String,
    request: HttpRequest,
    to: SharedHttpConnector,
}

impl Network {
    pub fn new(inner: SharedHttpClient) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// What befalls the next requests of an operation, one after the other.
    pub fn next(&self, operation: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults.into_iter().map(|fault| (operation, fault)));
    }

    /// The `Date` of every further answer.
    pub fn date(&self, date: DateTime<Utc>) {
        self.state().date = Some(date);
    }

    /// Asks for the capacity units of all further requests; see [`measured`](Self::measured).
    pub fn measure(&self) {
        self.state().measured = Some(Units::default());
    }

    /// The units since [`measure`](Self::measure), which begins anew.
    pub fn measured(&self) -> Units {
        self.state().measured.replace(Units::default()).unwrap_or_default()
    }

    /// The faults that did not happen yet.
    pub fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// How many requests of an operation were sent, lost ones included.
    pub fn count(&self, operation: &str) -> usize {
        self.state().sent.iter().filter(|copy| copy.operation == operation).count()
    }

    /// How many requests were sent.
    pub fn count_all(&self) -> usize {
        self.state().sent.len()
    }

    /// Delivers a copy of the nth request of an operation, counted from 0. Gives the status of the answer.
    pub async fn deliver_again(&self, operation: &str, nth: usize) -> u16 {
        let (request, to) = {
            let state = self.state();
            let copy = state.sent.iter().filter(|copy| copy.operation == operation).nth(nth);
            let copy = copy.expect("a request that was sent");
            (copy.request.try_clone().expect("a body in memory"), copy.to.clone())
        };
        to.call(request).await.expect("an answer").status().as_u16()
    }

    async fn read_units(&self, answer: HttpResponse) -> HttpResponse {
        let (status, headers, content) = content(answer).await;
        let consumed = match &content["ConsumedCapacity"] {
            serde_json::Value::Array(each) => each.clone(),
            one => vec![one.clone()],
        };
        if let Some(units) = &mut self.state().measured {
            for consumed in consumed {
                units.table += consumed["Table"]["CapacityUnits"].as_f64().unwrap_or(0.0);
                let indexes = consumed["GlobalSecondaryIndexes"].as_object();
                let indexes = indexes.into_iter().flat_map(serde_json::Map::values);
                units.index += indexes.filter_map(|index| index["CapacityUnits"].as_f64()).sum::<f64>();
            }
        }
        answer_of(status, headers, &content)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Network {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Link { inner, network: self.clone() })
    }
}

#[derive(Debug)]
struct Link {
    inner: SharedHttpConnector,
    network: Network,
}

impl HttpConnector for Link {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let fault = {
            let mut state = self.network.state();
            let nth = state.faults.iter().position(|(of, _)| *of == operation);
            let fault = nth.and_then(|nth| state.faults.remove(nth)).map(|(_, fault)| fault);
            let copy = request.try_clone().expect("a body in memory");
            state.sent.push(Copy { operation, request: copy, to: self.inner.clone() });
            fault.unwrap_or(Fault::None)
        };
        let lost = || ConnectorError::io(format!("{fault:?}").into());
        match fault {
            Fault::None => {
                let state = self.network.state();
                let (date, measures) = (state.date, state.measured.is_some());
                drop(state);
                let network = self.network.clone();
                let answer = self.inner.call(if measures { measured(request) } else { request });
                HttpConnectorFuture::new(async move {
                    let mut answer = answer.await?;
                    if measures {
                        answer = network.read_units(answer).await;
                    }
                    if let Some(date) = date {
                        answer.headers_mut().insert("date", date.to_rfc2822());
                    }
                    Ok(answer)
                })
            }
            Fault::Unprocessed => {
                let (first, rest) = halves(request);
                let answer = self.inner.call(first);
                HttpConnectorFuture::new(async move {
                    let (status, headers, mut content) = content(answer.await?).await;
                    content[rest.0] = rest.1;
                    Ok(answer_of(status, headers, &content))
                })
            }
            Fault::Deny => refused("AccessDeniedException", ""),
            Fault::Throttle => refused(
                "ProvisionedThroughputExceededException",
                r#", "ThrottlingReasons": [{"reason": "IndexWriteKeyRangeThroughputExceeded"}]"#,
            ),
            Fault::LoseRequest => HttpConnectorFuture::ready(Err(lost())),
            Fault::LoseAnswer => {
                let applied = self.inner.call(request);
                let lost = lost();
                HttpConnectorFuture::new(async move {
                    applied.await?;
                    Err(lost)
                })
            }
        }
    }
}

/// What an answer holds.
async fn content(answer: HttpResponse) -> (StatusCode, Headers, serde_json::Value) {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = ByteStream::new(answer.into_body()).collect().await.expect("a body").into_bytes();
    (status, headers, serde_json::from_slice(&body).unwrap_or_default())
}

/// An answer with other content, and without the checksum of the old.
fn answer_of(status: StatusCode, mut headers: Headers, content: &serde_json::Value) -> HttpResponse {
    let mut answer = HttpResponse::new(status, SdkBody::from(content.to_string()));
    headers.remove("x-amz-crc32");
    headers.remove("content-length");
    *answer.headers_mut() = headers;
    answer
}

fn body(request: &HttpRequest) -> serde_json::Value {
    serde_json::from_slice(request.body().bytes().expect("a body in memory")).expect("JSON")
}

/// The request with the first half of its batch, and the rest under the name that the answer has for it.
fn halves(request: HttpRequest) -> (HttpRequest, (&'static str, serde_json::Value)) {
    let mut first = body(&request);
    let mut rest = first["RequestItems"].clone();
    let mut name = "UnprocessedItems";
    let tables = first["RequestItems"].as_object_mut().expect("tables");
    for (table, batch) in tables {
        let (batch, rest) = if batch.is_array() {
            (batch, &mut rest[table])
        } else {
            name = "UnprocessedKeys";
            (&mut batch["Keys"], &mut rest[table]["Keys"])
        };
        let all = batch.as_array_mut().expect("a batch");
        *rest = all.split_off(all.len().div_ceil(2)).into();
    }
    (with_body(request, &first), (name, rest))
}

/// The request, asking for its capacity units.
fn measured(request: HttpRequest) -> HttpRequest {
    let mut body = body(&request);
    body["ReturnConsumedCapacity"] = "INDEXES".into();
    with_body(request, &body)
}

fn with_body(mut request: HttpRequest, body: &serde_json::Value) -> HttpRequest {
    let body = body.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}

fn refused(error: &str, more: &str) -> HttpConnectorFuture {
    let body = format!(r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{error}", "message": "no"{more}}}"#);
    let status = StatusCode::try_from(400).expect("a status");
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
}
