//! A table with tasks, and the page about it.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::testing::FaultyNetwork;
use tracker_core::{Backoff, Failure, Operator, StatusTracker, Tracker, TrackerStatus, embedded};
use tracker_web::Page;

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtractStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored, shards = 2)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
pub struct Document {
    #[tracker(task_id)]
    pub id: String,
    pub title: String,
    pub secret: String,
}

/// A table, and requests to a page about it.
pub struct Site {
    client: Client,
    pub network: FaultyNetwork,
    table: String,
    pub documents: Tracker<Document>,
}

impl Site {
    /// Returns an empty table on each database.
    pub async fn on_each_database() -> Vec<Self> {
        println!("on the embedded database");
        let mut sites = vec![Self::over(&embedded::in_memory().unwrap()).await];
        if let Ok(endpoint) = std::env::var("TRACKER_DYNAMODB_ENDPOINT") {
            println!("on DynamoDB Local at {endpoint}");
            let config = Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::from_static("us-east-1"))
                .credentials_provider(Credentials::new("local", "local", None, None, "local"))
                .endpoint_url(endpoint)
                .http_client(aws_smithy_http_client::Builder::new().build_http());
            sites.push(Self::over(&Client::from_conf(config.build())).await);
        } else {
            println!("not on DynamoDB Local: TRACKER_DYNAMODB_ENDPOINT is not set");
        }
        sites
    }

    async fn over(client: &Client) -> Self {
        let (client, network) = FaultyNetwork::around(client).unwrap();
        let table = format!("page-{:016x}", fastrand::u64(..));
        let builder = Document::tracker_builder(&client).table(&table).owner("worker-1");
        let documents = builder.backoff(Backoff::None).max_retry(1).build().unwrap();
        documents.create_table().await.unwrap();
        Self { client, network, table, documents }
    }

    pub async fn create(&self, id: &str) {
        let document =
            Document { id: id.to_owned(), title: "a title".to_owned(), secret: "s3cr3t".to_owned() };
        self.documents.create(document).await.unwrap();
    }

    pub async fn ignore(&self, id: &str, error: &str) {
        self.create(id).await;
        self.documents.start(id).await.unwrap().fail(Failure::fatal(error)).await.unwrap();
    }

    /// Adds an attribute to the item of a task, as another program may.
    pub async fn set_attribute(&self, id: &str, name: &str, value: &str) {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.key("key", AttributeValue::S(format!("extract____{id}")));
        let update = update.update_expression("SET #name = :value").expression_attribute_names("#name", name);
        update
            .expression_attribute_values(":value", AttributeValue::S(value.to_owned()))
            .send()
            .await
            .unwrap();
    }

    pub async fn status_of(&self, id: &str) -> Option<ExtractStatus> {
        self.documents.head(id).consistent().await.unwrap().and_then(|head| head.status_in())
    }

    pub async fn operator(&self) -> Operator {
        let operator =
            Operator::builder(&self.client).table(&self.table).use_case_id("extract").actor("alice");
        operator.open().await.unwrap()
    }

    /// Returns a page with other settings.
    pub async fn page(&self, settings: impl FnOnce(Page) -> Page) -> Visitor {
        Visitor(settings(Page::new([self.operator().await])).into_router())
    }
}

/// Sends requests to a page.
pub struct Visitor(Router);

/// What a page has answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.text.contains(text), "no {text:?} in {}", self.text);
        self
    }

    #[track_caller]
    pub fn says_not(self, text: &str) -> Self {
        assert!(!self.text.contains(text), "{text:?} in {}", self.text);
        self
    }

    pub fn location(&self) -> String {
        self.headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }
}

impl Visitor {
    pub fn of(page: Page) -> Self {
        Self(page.into_router())
    }

    /// Returns a visitor of a page that is mounted under a path.
    pub fn nested(page: Page, path: &str) -> Self {
        Self(Router::new().nest(path, page.into_router()))
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn get(&self, address: &str) -> Answer {
        let request = Request::get(address).header(header::HOST, "localhost:8080");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form as a browser does from the page itself.
    pub async fn post(&self, address: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(address)
            .header(header::HOST, "localhost:8080")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(serde_urlencoded::to_string(fields).unwrap())).unwrap()).await
    }

    /// Waits until a job has ended, and returns its page.
    pub async fn ended(&self, address: &str) -> Answer {
        loop {
            let page = self.get(address).await.with(200);
            if !page.text.contains("Under way.") {
                return page;
            }
            tokio::task::yield_now().await;
        }
    }
}
