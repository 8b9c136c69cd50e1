//! Measures what requests cost, and sets the date of their answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// An HTTP client between the network and the database.
#[derive(Debug, Clone)]
pub struct Probe {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
    /// Is shown the operation and the body of each request.
    watch: Option<Watch>,
    /// Whether tables are created and deleted one at a time.
    takes_turns: bool,
}

/// Held while a table is created or deleted.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Is shown the operation and the body of a request.
pub type Watch = fn(&str, Option<&[u8]>);

#[derive(Debug, Default)]
struct State {
    date: Option<DateTime<Utc>>,
    hides_items: bool,
    /// The requests since [`Probe::measure`], with the costs that their answers report.
    spent: Option<Vec<Spent>>,
}

/// One request, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    pub operation: String,
    /// `None` if the answer reports no costs, as after a failed condition.
    pub units: Option<Units>,
}

/// Capacity units, as the database reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    pub table: f64,
    pub index: f64,
}

impl Probe {
    pub fn new(inner: SharedHttpClient) -> Self {
        Self { inner, state: Arc::default(), watch: None, takes_turns: false }
    }

    /// Shows the operation and the body of each request to a function.
    #[allow(dead_code, reason = "no bench watches")]
    pub fn watched_by(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Lets all tests of this process create and delete tables one at a time. DynamoDB Local 3.3.1 answers the creation of a
    /// provisioned table with an internal error if another table is deleted meanwhile. What other processes create has no turn.
    #[allow(dead_code, reason = "no bench deletes a table")]
    pub fn with_turns(self) -> Self {
        Self { takes_turns: true, ..self }
    }

    /// Sets the `Date` header of every further answer.
    pub fn set_date_header(&self, date: DateTime<Utc>) {
        self.state().date = Some(date);
    }

    /// Takes the item out of the answer to every further failed condition.
    pub fn hide_items_of_failed_conditions(&self) {
        self.state().hides_items = true;
    }

    /// Measures all further requests: see [`spent`](Self::spent) and [`total_units`](Self::total_units).
    pub fn measure(&self) {
        self.state().spent = Some(Vec::new());
    }

    /// Returns the requests since [`measure`](Self::measure), and forgets them.
    pub fn spent(&self) -> Vec<Spent> {
        self.state().spent.replace(Vec::new()).unwrap_or_default()
    }

    /// Returns the units of these requests together, and forgets the requests.
    pub fn total_units(&self) -> Units {
        let units = self.spent().into_iter().filter_map(|spent| spent.units);
        units.fold(Units::default(), |sum, units| Units {
            table: sum.table + units.table,
            index: sum.index + units.index,
        })
    }

    async fn read_units(&self, operation: String, answer: &mut HttpResponse) {
        let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
        let body = ByteStream::new(body).collect().await.expect("a body").into_bytes();
        let content: Value = serde_json::from_slice(&body).expect("JSON");
        *answer.body_mut() = SdkBody::from(body);
        let units = match content.get("ConsumedCapacity") {
            None | Some(Value::Null) => None,
            // A request for several tables reports them one by one.
            Some(Value::Array(tables)) => Some(tables.iter().collect()),
            Some(one) => Some(vec![one]),
        };
        let units = units.map(|tables: Vec<&Value>| {
            let mut units = Units::default();
            for consumed in tables {
                units.table += consumed["Table"]["CapacityUnits"].as_f64().unwrap_or(0.0);
                let indexes = consumed["GlobalSecondaryIndexes"].as_object();
                let indexes = indexes.into_iter().flat_map(Map::values);
                units.index += indexes.filter_map(|index| index["CapacityUnits"].as_f64()).sum::<f64>();
            }
            units
        });
        if let Some(spent) = &mut self.state().spent {
            spent.push(Spent { operation, units });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Probe {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(ProbeConnector { inner, probe: self.clone() })
    }
}

#[derive(Debug)]
struct ProbeConnector {
    inner: SharedHttpConnector,
    probe: Probe,
}

impl HttpConnector for ProbeConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let probe = self.probe.clone();
        let (date, measures, hides_items) = {
            let state = probe.state();
            (state.date, state.spent.is_some(), state.hides_items)
        };
        let operation = operation(&request);
        if let Some(watch) = probe.watch {
            watch(&operation, request.body().bytes());
        }
        let inner = self.inner.clone();
        let request = if measures { with_capacity_report(request) } else { request };
        let takes_turn = probe.takes_turns && ["CreateTable", "DeleteTable"].contains(&&*operation);
        HttpConnectorFuture::new(async move {
            let turn = if takes_turn { Some(TURN.lock().await) } else { None };
            // Only now, because the time for its answer begins here.
            let mut answer = inner.call(request).await?;
            drop(turn);
            if measures {
                probe.read_units(operation, &mut answer).await;
            }
            if hides_items && answer.status().as_u16() == 400 {
                hide_item(&mut answer).await;
            }
            if let Some(date) = date {
                answer.headers_mut().insert("date", date.to_rfc2822());
            }
            Ok(answer)
        })
    }
}

/// The operation that a request is for: `PutItem` of `DynamoDB_20120810.PutItem`.
fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

/// Removes the item of a failed condition, and the checksum that no longer fits.
async fn hide_item(answer: &mut HttpResponse) {
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let body = ByteStream::new(body).collect().await.expect("a body").into_bytes();
    let mut content: Value = serde_json::from_slice(&body).expect("JSON");
    if let Some(object) = content.as_object_mut() {
        object.remove("Item");
    }
    let body = content.to_string();
    answer.headers_mut().remove("x-amz-crc32");
    answer.headers_mut().insert("content-length", body.len().to_string());
    *answer.body_mut() = SdkBody::from(body);
}

/// The request, which now asks for its capacity units. Its signature no longer fits, but neither the embedded database
/// nor DynamoDB Local checks signatures.
fn with_capacity_report(mut request: HttpRequest) -> HttpRequest {
    let body = request.body().bytes().expect("a body in memory");
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    body["ReturnConsumedCapacity"] = "INDEXES".into();
    let body = body.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}
