//! Shows that an update and its `PartiQL` statement do the same to an item: on the embedded database, and on DynamoDB Local if
//! `TRACKER_DYNAMODB_ENDPOINT` names one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_dynamodb::{Client, Config};

use super::Context;
use super::group::{Answer, Member};
use super::route::Route;
use super::statement::{add_images, execute};
use super::update::send_alone;
use super::write_error::{FailedCondition, WriteError};
use crate::config::TrackerConfig;
use crate::fuzzing::sample::SPEC;
use crate::item::attribute::{self, Item, KEY, NOT_LOCKED, number, string, time};
use crate::item::document::{Document, Member as Data};
use crate::item::fields::Encoded;
use crate::item::history::{HistoryDetail, Note};
use crate::item::use_case::UseCase;
use crate::protocol::expression::Expression;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::protocol::writes::Expected;
use crate::time::{SystemClock, Timestamp};

/// The names of attributes and members that a user may choose, apart from usual ones.
const NAMES: [&str; 10] =
    ["size", "g0", "g1", "a.b", "with \"quotes\"", "naïve 日本", "1st", "a[0]", "'single'", "select"];

#[tokio::test]
async fn an_update_and_its_statement_do_the_same_on_the_embedded_database() {
    compare(&crate::embedded::in_memory().unwrap(), 60).await;
}

#[tokio::test]
async fn an_update_and_its_statement_do_the_same_on_dynamodb_local() {
    let Some(client) = dynamodb_local() else {
        println!("not compared on DynamoDB Local: TRACKER_DYNAMODB_ENDPOINT is not set");
        return;
    };
    compare(&client, 20).await;
}

fn dynamodb_local() -> Option<Client> {
    let endpoint = std::env::var("TRACKER_DYNAMODB_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty())?;
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Some(Client::from_conf(config.build()))
}

/// A random write of a random item.
struct Case {
    item: Item,
    write: Expression,
    what: &'static str,
    returns_item: bool,
}

/// Applies random writes to random items, each as an update and as a statement, 25 statements in one request.
async fn compare(client: &Client, rounds: u64) {
    let table = create_table(client).await;
    let config = TrackerConfig { table: table.into(), ..TrackerConfig::declared(&SPEC) };
    let use_case = UseCase::new(&SPEC, "dialects");
    let cx = Context::new(client, config, use_case, Arc::new(SystemClock), None, None);
    let mut applied: BTreeMap<_, [u32; 2]> = BTreeMap::new();
    for round in 0..rounds {
        let mut rng = fastrand::Rng::with_seed(round);
        let cases: Vec<_> =
            (0..25).map(|nth| case(&cx, &mut rng, &format!("dialects____{round}-{nth}"))).collect();
        let mut updated = Vec::new();
        for case in &cases {
            put(&cx, case.item.clone()).await;
            let key = key(case);
            let sent =
                send_alone(&cx, Route::ALONE, &key, Cow::Borrowed(&case.write), case.returns_item).await;
            let sent = outcome(Answer::Result(sent));
            applied.entry(case.what).or_default()[usize::from(sent.0 == "applied")] += 1;
            updated.push((sent, get(&cx, &key).await));
        }
        let mut members = Vec::new();
        for case in &cases {
            put(&cx, case.item.clone()).await;
            let key = key(case);
            let statement = cx.statement(&case.write, &key, case.returns_item);
            let statement =
                statement.unwrap_or_else(|| panic!("{}: {:?} has no statement", case.what, case.write));
            members.push(Member { key: key.into(), statement });
        }
        let mut answers = execute(&cx, client, &mut members).await;
        let failed: Vec<_> = (0..answers.len()).filter(|nth| answers[*nth].is_none()).collect();
        add_images(&cx, &members, &failed, &mut answers).await;
        for ((case, answer), (sent, stored)) in cases.iter().zip(answers).zip(updated) {
            let what = format!("round {round}, {}: {:?} of {:?}", case.what, case.write, case.item);
            assert_eq!(outcome(answer.unwrap()), sent, "{what}");
            assert_eq!(get(&cx, &key(case)).await, stored, "{what}");
        }
    }
    println!("applied and refused: {applied:?}");
    let all: BTreeSet<_> = [
        "start",
        "start later",
        "takeover",
        "heartbeat",
        "save",
        "success",
        "failure",
        "release",
        "cancel",
        "last fail",
    ]
    .into();
    assert_eq!(applied.keys().copied().collect::<BTreeSet<_>>(), all);
    assert!(applied.values().all(|counts| counts.iter().all(|count| *count > 0)), "{applied:?}");
}

/// Returns what an answer means, and the item that came with it.
fn outcome(answer: Answer) -> (&'static str, Option<Item>) {
    match answer {
        Answer::Result(Ok(item)) => ("applied", item.map(sorted)),
        Answer::Result(Err(WriteError::Condition(FailedCondition { image, .. }))) => {
            ("refused", image.map(sorted))
        }
        other => panic!("{other:?}"),
    }
}

fn key(case: &Case) -> String {
    case.item[KEY].as_s().unwrap().clone()
}

async fn put(cx: &Context, item: Item) {
    cx.bulk_client.put_item().table_name(&*cx.config.table).set_item(Some(item)).send().await.unwrap();
}

async fn get(cx: &Context, key: &str) -> Option<Item> {
    super::get(cx, key, true, false).await.unwrap().map(sorted)
}

/// Sorts the number sets of an item, which have no order.
fn sorted(mut item: Item) -> Item {
    for value in item.values_mut() {
        if let AttributeValue::Ns(numbers) = value {
            numbers.sort();
        } else if let AttributeValue::M(members) = value {
            *members = sorted(std::mem::take(members));
        }
    }
    item
}

/// Creates a table without an index, which these writes do not need.
async fn create_table(client: &Client) -> String {
    let table = format!("dialects-{}", uuid::Uuid::new_v4().simple());
    let schema = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build().unwrap();
    let attribute = AttributeDefinition::builder()
        .attribute_name(KEY)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap();
    let create = client.create_table().table_name(&table).key_schema(schema).attribute_definitions(attribute);
    create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    table
}

/// Returns a random write of a random item.
fn case(cx: &Context, rng: &mut fastrand::Rng, key: &str) -> Case {
    const ME: &str = "0123456789abcdef0123456789abcdef";
    let now = Timestamp::EPOCH.plus(Duration::from_hours(500_000));
    let item = item(rng, key, ME, now);
    let head = cx.head(&mut item.clone()).unwrap();
    let writes = cx.writes(ME, now);
    let finish = |rng: &mut fastrand::Rng, outcome: &Outcome, with_data: bool| {
        let detail = if rng.bool() { HistoryDetail::All } else { HistoryDetail::AsStored };
        let (_, write) = writes.finish(&head, outcome, detail);
        if with_data { with_fields(rng, write, &item) } else { write }
    };
    let fail =
        |verdict| Outcome::Failed { error: "it's \"broken\"".to_owned(), traceback: String::new(), verdict };
    let status = [10, 10, 14][rng.usize(..3)];
    let (what, write) = match rng.u32(..10) {
        0 => ("start", writes.start_expected(key, Expected { status, has_run_at: false })),
        1 => ("start later", writes.start_expected(key, Expected { status, has_run_at: true })),
        2 => {
            // Mostly as it is, sometimes as it was before.
            let mut seen = head.clone();
            seen.attempt = 1;
            if rng.u32(..4) == 0 {
                seen.lock_time = seen.lock_time.plus(Duration::from_secs(1));
            }
            ("takeover", writes.take_over(&seen, HistoryDetail::All))
        }
        3 => ("heartbeat", writes.heartbeat()),
        4 => ("save", with_fields(rng, writes.save(), &item)),
        5 => ("success", finish(rng, &Outcome::Succeeded, true)),
        6 => ("failure", finish(rng, &fail(Verdict::Retry), false)),
        7 => ("last fail", finish(rng, &fail(Verdict::Fatal), false)),
        8 => ("release", finish(rng, &Outcome::Released, false)),
        _ => ("cancel", finish(rng, &Outcome::Cancelled(Note::default()), false)),
    };
    Case { item, write, what, returns_item: rng.bool() }
}

/// Returns a random item: in any state, and with values of each type.
fn item(rng: &mut fastrand::Rng, key: &str, me: &str, now: Timestamp) -> Item {
    let earlier = |rng: &mut fastrand::Rng| now.minus(Duration::from_secs(rng.u64(1..5)));
    let any_time =
        |rng: &mut fastrand::Rng| now.plus(Duration::from_secs(2)).minus(Duration::from_secs(rng.u64(0..5)));
    let lock = [NOT_LOCKED, NOT_LOCKED, me, me, "another"][rng.usize(..5)];
    let mut item = Item::from([
        (KEY.to_owned(), string(key)),
        ("value".to_owned(), string("dialects____010____1")),
        ("status".to_owned(), number([10_u32, 10, 12, 14, 16][rng.usize(..5)])),
        ("retry".to_owned(), number(rng.u32(..3))),
        ("create_time".to_owned(), time(earlier(rng))),
        ("update_time".to_owned(), time(earlier(rng))),
        ("lock".to_owned(), string(lock)),
        ("lock_time".to_owned(), time(any_time(rng))),
        (
            "errors".to_owned(),
            AttributeValue::M(HashMap::from([("history".to_owned(), AttributeValue::L(Vec::new()))])),
        ),
    ]);
    let mut maybe = |name: &str, value: AttributeValue| {
        if rng.u32(..3) > 0 {
            item.insert(name.to_owned(), value);
        }
    };
    maybe("data", AttributeValue::M(NAMES.iter().map(|name| ((*name).to_owned(), string("old"))).collect()));
    maybe("a.b", string("old"));
    maybe("attempt", number(1_u32));
    maybe("lease_ms", number(30_000_u32));
    maybe("owner", string("somebody"));
    maybe("lost_attempts", number(1_u32));
    let some_run_at = time(any_time(rng));
    let more = [
        ("run_at", some_run_at),
        ("expires_at", number(4_000_000_000_u32)),
        ("snoozes", number(2_u32)),
        ("cancel", string(if rng.bool() { me } else { "another" })),
        ("started_from", number(14_u32)),
    ];
    for (name, value) in more {
        if rng.bool() {
            item.insert(name.to_owned(), value);
        }
    }
    item
}

/// Adds random fields to a write: attributes and members with any name, and values of each type.
fn with_fields(rng: &mut fastrand::Rng, write: Expression, item: &Item) -> Expression {
    let mut changed = Encoded::default();
    for name in NAMES {
        match rng.u32(..4) {
            0 => drop(changed.attributes.insert(name, any_value(rng))),
            1 if item.contains_key(attribute::DATA) => {
                changed.members.insert(name, Data::Map(any_value(rng)));
            }
            2 => drop(changed.attributes.insert(name, AttributeValue::Null(true))),
            _ => {}
        }
    }
    let mut document = Cow::Owned(Document::Map(HashMap::new()));
    write.set_fields(&mut document, &changed).unwrap()
}

fn any_value(rng: &mut fastrand::Rng) -> AttributeValue {
    match rng.u32(..11) {
        0 => string("new, and 'quoted' \"twice\"; 日本 \u{1f600} ?"),
        1 => AttributeValue::N("12345678901234567890123456789012345678".to_owned()),
        2 => AttributeValue::N("-0.00000000000000000000000000000000000001".to_owned()),
        3 => AttributeValue::B(Blob::new([0, 1, 255])),
        4 => AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()]),
        5 => AttributeValue::Ns(vec!["1".to_owned(), "2.5".to_owned()]),
        6 => AttributeValue::Bs(vec![Blob::new([1]), Blob::new([2])]),
        7 => AttributeValue::M(HashMap::new()),
        8 => AttributeValue::L(vec![AttributeValue::Null(true), AttributeValue::Bool(true), string("")]),
        9 => AttributeValue::M(HashMap::from([("n.m".to_owned(), AttributeValue::L(Vec::new()))])),
        _ => string(""),
    }
}
