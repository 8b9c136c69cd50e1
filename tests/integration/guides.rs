//! The programs of the guides, with real requests and real events.

use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracker_core::CancellationToken;
use tracker_test_macros::database_test;

use crate::support::World;

#[path = "../../examples/axum_service.rs"]
mod axum_service;
#[path = "../../examples/sqs_lambda.rs"]
mod sqs_lambda;

use axum_service::Report;
use sqs_lambda::Invoice;

/// Sends a request to the service. Returns the status, and the body as JSON or as text.
async fn call(service: &axum::Router, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = service.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[database_test(reads_at_once, whole_batches)]
async fn service_creates_lists_and_redrives(world: World) {
    let reports = world.builder::<Report>().build().unwrap();
    let service = axum_service::router(reports.clone(), CancellationToken::new());
    let create = json!({"id": "r-1", "pages": 0});
    let (status, created) = call(&service, "POST", "/reports", Some(create.clone())).await;
    assert_eq!((status, &created["status"]), (StatusCode::CREATED, &json!("Pending")), "{created}");
    let (status, refused) = call(&service, "POST", "/reports", Some(create)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["error"].as_str().unwrap().contains("exists already"), "{refused}");
    let (status, _) = call(&service, "POST", "/reports", Some(json!({"id": "", "pages": 1}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = call(&service, "GET", "/reports/r-2", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = call(&service, "POST", "/reports/r-1/redrive", None).await;
    assert_eq!(status, StatusCode::CONFLICT, "it is pending");

    world.clock.advance(Duration::from_secs(1));
    reports.run("r-1", axum_service::make).await.unwrap_err();
    let (_, ignored) = call(&service, "GET", "/reports?status=ignored", None).await;
    assert_eq!(ignored, json!({"ids": ["r-1"], "next": null}));
    let (status, _) = call(&service, "POST", "/reports/r-1/redrive", None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (_, shown) = call(&service, "GET", "/reports/r-1", None).await;
    assert_eq!(shown["status"], "Pending");

    let (status, unknown) = call(&service, "GET", "/reports?status=done", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(unknown["error"].as_str().unwrap().contains("Pending, InProgress"), "{unknown}");
    let (status, _) = call(&service, "GET", "/reports?after=garbage", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // More than one page.
    let many: Vec<_> = (0..120).map(|nth| Report { id: format!("many-{nth:03}"), pages: 1 }).collect();
    reports.overwrite_many(many).await.unwrap();
    let (mut seen, mut path) = (0, "/reports".to_owned());
    for _ in 0..5 {
        let (_, page) = call(&service, "GET", &path, None).await;
        seen += page["ids"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => path = format!("/reports?after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 121);
}

/// The stream of events ends with the task.
#[database_test]
async fn service_streams_the_progress(world: World) {
    let reports = world.builder::<Report>().build().unwrap();
    let service = axum_service::router(reports.clone(), CancellationToken::new());
    reports.create(Report { id: "r-1".to_owned(), pages: 2 }).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    reports.run("r-1", axum_service::make).await.unwrap();
    let (status, events) = call(&service, "GET", "/reports/r-1/progress", None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(events.as_str().unwrap().contains(r#"data: {"progress":null,"status":"Succeeded"}"#), "{events}");
    let (_, missing) = call(&service, "GET", "/reports/r-2/progress", None).await;
    assert!(missing.as_str().unwrap().contains("there is no such report"), "{missing}");
}

/// A client that listens does not keep the service from ending.
#[database_test]
async fn service_ends_its_streams_when_it_ends(world: World) {
    let reports = world.builder::<Report>().build().unwrap();
    let stop = CancellationToken::new();
    let service = axum_service::router(reports.clone(), stop.clone());
    reports.create(Report { id: "r-1".to_owned(), pages: 2 }).await.unwrap();
    let stream = tokio::spawn(async move { call(&service, "GET", "/reports/r-1/progress", None).await });
    let has_read = || std::future::ready(world.network.count("GetItem") > 0);
    world.wait_until("the state was read", has_read).await;
    stop.cancel();
    let (status, events) = stream.await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(events.as_str().unwrap().contains(r#""status":"Pending""#), "{events}");
}

#[database_test(reads_at_once)]
async fn service_names_the_place_of_a_report_with_any_id(world: World) {
    let reports = world.builder::<Report>().build().unwrap();
    let service = axum_service::router(reports.clone(), CancellationToken::new());
    for id in ["a/b \u{fc}", "a\nb", "100%"] {
        let request =
            Request::builder().method("POST").uri("/reports").header("content-type", "application/json");
        let body = Body::from(json!({"id": id, "pages": 1}).to_string());
        let response = service.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "{id:?}");
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let (status, shown) = call(&service, "GET", &location, None).await;
        assert_eq!((status, &shown["data"]["id"]), (StatusCode::OK, &json!(id)), "{location}: {shown}");
    }
}

/// An event as SQS gives it to Lambda, with one message for each invoice.
fn event(invoices: &[(&str, i64)], remaining: Duration) -> LambdaEvent<SqsEvent> {
    let record = |id: &str, body: String| {
        json!({
            "messageId": format!("message-{id}"), "receiptHandle": "handle", "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1520621625029",
                "SenderId": "AROAIWPX5BD2BHG722MW4:sender", "ApproximateFirstReceiveTimestamp": "1520621634884"
            },
            "messageAttributes": {}, "md5OfBody": "fce0ea8dd236ccb3ed9b37dae260836f", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-west-2:123456789012:invoices", "awsRegion": "us-west-2",
        })
    };
    let records = invoices.iter().map(|(id, cents)| {
        let body = if *id == "garbage" {
            "no JSON".to_owned()
        } else {
            json!({"id": id, "cents": cents}).to_string()
        };
        record(id, body)
    });
    let payload: SqsEvent =
        serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() })).unwrap();
    let mut context = Context::default();
    let deadline = std::time::SystemTime::now() + remaining;
    let since = deadline.duration_since(std::time::UNIX_EPOCH).unwrap();
    context.deadline = since.as_millis().try_into().unwrap();
    LambdaEvent::new(payload, context)
}

#[database_test]
async fn function_returns_the_messages_that_are_worth_another_try(world: World) {
    let invoices = world.builder::<Invoice>().build().unwrap();
    let minute = Duration::from_mins(1);
    let failed = async |event| {
        let response = sqs_lambda::handle(&invoices, event).await;
        let mut failed: Vec<_> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        failed.sort_unstable();
        failed
    };
    let status =
        async |id: &str| world.stored_under(&format!("invoices____{id}")).await.unwrap()["status"].clone();
    let number = crate::support::number;

    let first = [("good", 100), ("fatal", -1), ("later", 0), ("garbage", 0)];
    assert_eq!(failed(event(&first, minute)).await, ["message-garbage", "message-later"]);
    assert_eq!((status("good").await, status("fatal").await), (number(16), number(18)));
    assert_eq!(status("later").await, number(14));

    // Messages are delivered twice: nothing runs again, and they leave the queue.
    assert_eq!(failed(event(&first[..2], minute)).await, [""; 0]);
    assert_eq!(world.stored_under("invoices____good").await.unwrap()["attempt"], number(1));

    // Another function holds the invoice.
    let _held = invoices.start_or_create(Invoice { id: "held".to_owned(), cents: 1 }).await.unwrap();
    assert_eq!(failed(event(&[("held", 1)], minute)).await, ["message-held"]);

    // The function is about to end: the task is released, and no failed attempt is counted.
    assert_eq!(failed(event(&[("slow", 2_000_000)], minute)).await, ["message-slow"]);
    let slow = world.stored_under("invoices____slow").await.unwrap();
    assert_eq!((&slow["status"], &slow["retry"]), (&number(10), &number(0)));
}
