//! What cannot be read again is not written, and what comes back in another form.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tracker_core::{ErrorKind, StatusTracker};
use tracker_test_macros::database_test;

use crate::support::{ExtractStatus, World, number};

/// A type that writes text and reads a number.
#[derive(Debug, Clone, Default)]
struct OneWay;

impl Serialize for OneWay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("text")
    }
}

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(|_| Self)
    }
}

#[derive(StatusTracker, Default)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
struct Odd {
    #[tracker(task_id)]
    id: String,
    one_way: Option<OneWay>,
}

#[database_test]
async fn field_that_cannot_be_read_again_is_not_created(world: World) {
    let odds = world.builder::<Odd>().build().unwrap();
    let error = odds.create(Odd { id: "doc-1".to_owned(), one_way: Some(OneWay) }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.one_way") });
    assert!(error.to_string().contains("cannot be read back"), "{error}");
    assert_eq!(world.stored_under("extract____doc-1").await, None);
}

#[database_test]
async fn field_that_cannot_be_read_again_is_not_saved(world: World) {
    let odds = world.builder::<Odd>().build().unwrap();
    odds.create(Odd { id: "doc-1".to_owned(), one_way: None }).await.unwrap();
    let mut execution = odds.start("doc-1").await.unwrap();
    let before = world.stored().await;
    execution.data_mut().one_way = Some(OneWay);
    let error = execution.save().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.one_way") });
    assert_eq!(world.stored().await, before);
    execution.data_mut().one_way = None;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[derive(StatusTracker, Debug, Clone, PartialEq)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
struct Forms {
    #[tracker(task_id)]
    id: String,
    value: Number,
    #[allow(clippy::option_option, reason = "to show what comes back")]
    nested: Option<Option<u32>>,
    zero: f64,
}

/// The first variant that fits wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Float(f64),
}

#[database_test]
async fn some_values_come_back_in_another_form(world: World) {
    let forms = world.builder::<Forms>().build().unwrap();
    let written = Forms { id: "doc-1".to_owned(), value: Number::Float(3.0), nested: Some(None), zero: -0.0 };
    forms.create(written).await.unwrap();
    let read = forms.get("doc-1").consistent().await.unwrap().unwrap().into_data();
    assert_eq!(read.value, Number::Whole(3), "DynamoDB stores 3.0 as 3");
    assert_eq!(read.nested, None);
    assert!(read.zero == 0.0, "DynamoDB drops the sign of a zero, and DynamoDB Local keeps it");
    let half = Forms { id: "doc-2".to_owned(), value: Number::Float(0.5), nested: Some(Some(1)), zero: 0.0 };
    forms.create(half.clone()).await.unwrap();
    assert_eq!(forms.get("doc-2").consistent().await.unwrap().unwrap().into_data(), half);
}

#[database_test]
async fn map_keys_that_are_no_text_are_an_error(world: World) {
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "extract", status = ExtractStatus)]
    struct Keyed {
        #[tracker(task_id)]
        id: String,
        map: HashMap<Vec<String>, u32>,
    }
    let keyed = world.builder::<Keyed>().build().unwrap();
    let map = HashMap::from([(vec!["a".to_owned()], 1)]);
    let error = keyed.create(Keyed { id: "doc-1".to_owned(), map }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.map") });
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    keyed.create(Keyed { id: "doc-1".to_owned(), map: HashMap::new() }).await.unwrap();
    assert_eq!(world.stored().await["status"], number(10));
}

#[derive(StatusTracker, Debug, Clone, PartialEq)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
struct Wide {
    #[tracker(task_id)]
    id: String,
    #[tracker(attribute)]
    most: u128,
    least: i128,
    maybe: Option<u128>,
}

#[database_test]
async fn integers_of_128_bits_are_stored_with_up_to_38_digits(world: World) {
    const MOST: u128 = 10_u128.pow(38) - 1;
    let wides = world.builder::<Wide>().build().unwrap();
    let least = -i128::try_from(MOST).unwrap();
    let written = Wide { id: "doc-1".to_owned(), most: MOST, least, maybe: Some(7) };
    wides.create(written.clone()).await.unwrap();
    assert_eq!(world.stored().await["most"].as_n().unwrap(), &MOST.to_string());
    let mut execution = wides.start("doc-1").await.unwrap();
    assert_eq!(*execution.data(), written);
    execution.data_mut().maybe = None;
    execution.succeed().await.unwrap();
    let read = wides.get("doc-1").consistent().await.unwrap().unwrap().into_data();
    assert_eq!(read, Wide { maybe: None, ..written.clone() });
    let error = wides.create(Wide { id: "doc-2".to_owned(), most: MOST + 1, ..written }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("most") });
    assert_eq!(world.stored_under("extract____doc-2").await, None);
}
