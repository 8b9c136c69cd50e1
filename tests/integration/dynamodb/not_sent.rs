//! Requests that never leave: everyone's first errors on AWS.

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Config};
use tracker_core::{Advice, Error, ErrorKind, StatusTracker, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::{DropResponse, RefuseConnection};
use crate::support::{Document, ExtractStatus, World, local_config, number};

/// Clients that can send nothing, each with a part of the reason that the SDK gives.
fn clients() -> Vec<(Client, &'static str)> {
    // Nobody listens on port 1.
    let refused = local_config("http://127.0.0.1:1");
    let without = |remove: fn(&mut Builder)| {
        let mut builder = refused.to_builder();
        remove(&mut builder);
        Client::from_conf(builder.build())
    };
    let no_http = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(refused.region().cloned())
        .credentials_provider(tracker_core::aws_sdk_dynamodb::config::Credentials::new(
            "a", "b", None, None, "test",
        ));
    vec![
        (Client::from_conf(refused.clone()), "Connection refused"),
        (
            without(|builder| {
                builder.set_region(None).set_endpoint_url(None);
            }),
            "Region",
        ),
        (Client::from_conf(no_http.build()), "HTTP client"),
    ]
}

fn tracker(client: &Client) -> Tracker<Document> {
    Document::tracker_builder(client).table("documents").heartbeat(false).build().unwrap()
}

/// Returns the error of every kind of call. The calls wait for their retries together.
async fn errors(documents: &Tracker<Document>) -> Vec<(&'static str, Error)> {
    /// The error of a call.
    fn call<'t, V: std::fmt::Debug + 't>(
        name: &'static str,
        call: impl IntoFuture<Output = Result<V, Error>, IntoFuture: 't>,
    ) -> LocalBoxFuture<'t, (&'static str, Error)> {
        let call = call.into_future();
        Box::pin(async move { (name, call.await.unwrap_err()) })
    }
    join_all([
        call("create", documents.create(Document::new("doc-1"))),
        call("start", documents.start("doc-1")),
        call("run", documents.run("doc-1", async |_| Ok(()))),
        call("get", documents.get("doc-1")),
        call("cancel", documents.cancel("doc-1")),
        call("redrive", documents.redrive("doc-1")),
        call("delete", documents.delete("doc-1")),
        call("query", documents.query_by_status(ExtractStatus::Pending).all()),
        call("count", documents.count_by_status()),
        call("create_table", documents.create_table()),
        call("verify_table", documents.verify_table()),
    ])
    .await
}

#[database_test]
async fn request_that_never_left_is_not_sent_whatever_the_call() {
    for (client, reason) in clients() {
        for (call, error) in errors(&tracker(&client)).await {
            assert_eq!(*error.kind(), ErrorKind::NotSent, "{call}: {error:?}");
            let text = error.to_string();
            assert!(text.contains("was not sent") && text.contains(reason), "{call}: {text}");
        }
    }
}

#[database_test]
async fn missing_credentials_are_named() {
    let config = local_config("http://127.0.0.1:1");
    let client = Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(config.region().cloned())
            .http_client(config.http_client().expect("an HTTP client"))
            .build(),
    );
    for (call, error) in errors(&tracker(&client)).await {
        assert_eq!(*error.kind(), ErrorKind::NotSent, "{call}: {error:?}");
        assert_eq!(error.advice(), Advice::Fix, "{call}");
    }
}

#[database_test]
async fn refused_connection_is_worth_a_retry_and_writes_nothing(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", [RefuseConnection]);
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotSent);
    assert_eq!(error.advice(), Advice::RetryLater { at: None });
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored_under("extract____doc-1").await, None);
}

/// What an earlier send has done is unknown, whatever becomes of a later one.
#[database_test]
async fn refused_connection_after_a_lost_answer_leaves_the_outcome_unknown(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", [DropResponse, RefuseConnection]);
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await["status"], number(10), "the first send was applied");
}

/// The same within one call of the SDK, which retries by itself.
#[database_test]
async fn retry_of_the_sdk_that_is_refused_hides_no_earlier_try(world: World) {
    use tracker_core::aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let config = world.client.config().to_builder().retry_config(retries);
    let config =
        config.retry_partition(RetryPartition::new("not-sent")).timeout_config(TimeoutConfig::disabled());
    let client = Client::from_conf(config.build());
    let documents = Document::tracker_builder(&client).like(&world.documents()).build().unwrap();
    world.network.next("PutItem", [RefuseConnection; 3]);
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotSent, "{error:?}");
    world.network.next("PutItem", std::iter::once(DropResponse).chain([RefuseConnection; 8]));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    world.network.calm();
    assert_eq!(world.stored().await["status"], number(10));
}
