//! Garbage images of a stream: the properties of reading them, and of the transitions between them.

use super::item::assert_names;
use super::sample::Sample;
use super::source::Source;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{HEAD, Item, KEY, VALUE};
use crate::item::head::TaskHead;
use crate::item::image::IntoItem;
use crate::observe::transition::Transition;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// Checks two images of a record, each of which may be missing.
pub(super) fn check(source: &mut Source<'_>) {
    let old = source.flag().then(|| source.item());
    // Often the same task, a little later.
    let new = match &old {
        Some(old) if source.flag() => Some(changed(old, source)),
        _ => source.flag().then(|| source.item()),
    };
    old.iter().chain(&new).for_each(check_forms);
    let (old, new) = (old.as_ref().and_then(head), new.as_ref().and_then(head));
    let transition = Transition::between(old.as_ref(), new.as_ref());
    match (&old, &new) {
        (None, None) => assert_eq!(transition, None),
        (Some(_), None) => assert_eq!(transition, Some(Transition::Deleted)),
        (None, Some(_)) => assert_eq!(transition, Some(Transition::Created)),
        (Some(old), Some(_)) => {
            assert_eq!(Transition::between(Some(old), Some(old)), None, "nothing has happened");
            assert!(transition.is_none_or(|transition| !transition.name().is_empty()));
        }
    }
}

/// Returns an item with some attributes of another.
fn changed(item: &Item, source: &mut Source<'_>) -> Item {
    let mut changed = item.clone();
    let other = source.item();
    changed.extend(other.into_iter().filter(|(name, _)| name != KEY && source.flag()));
    changed
}

/// Checks that an image is the same item in each form in which the clients of a stream hand it over.
fn check_forms(item: &Item) {
    assert_eq!(&read(item.clone()), item);
    #[cfg(feature = "lambda")]
    assert_eq!(&read(serde_dynamo::Item::from(item.clone())), item);
    #[cfg(feature = "streams")]
    {
        use std::collections::HashMap;

        use aws_sdk_dynamodbstreams::types::AttributeValue;

        let image = item.clone().into_iter();
        let image = image.map(|(name, value)| (name, serde_dynamo::AttributeValue::from(value).into()));
        assert_eq!(&read(image.collect::<HashMap<String, AttributeValue>>()), item);
    }
}

fn read(image: impl IntoItem) -> Item {
    image.into_item()
}

/// Reads the head of an image. Asserts that an item that cannot be read is named, or is no task.
fn head(item: &Item) -> Option<TaskHead> {
    let task = Task::<Sample>::from_item(item.clone());
    match TaskHead::from_item::<Sample>(item.clone()) {
        Ok(head) => {
            if let Err(error) = task {
                assert_eq!(error.task().map(TaskHead::key), Some(head.key()), "{error:?}");
            }
            Some(head)
        }
        Err(error) => {
            assert_eq!(task.err().as_ref().map(Error::kind), Some(error.kind()), "the head is read first");
            match Sample::from_item(item.clone()).unwrap_err() {
                error if matches!(error.kind(), ErrorKind::NotATask { .. }) => {
                    let text = |name| item.get(name).and_then(|text| text.as_s().ok());
                    let is_of_another = |text: &String| !text.starts_with("extract____");
                    let no_digit = |text: &String| {
                        text.strip_prefix("extract____")
                            .is_none_or(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
                    };
                    let holds = text(KEY).is_none_or(is_of_another) || text(VALUE).is_some_and(no_digit);
                    assert!(holds, "{error:?}");
                }
                error => assert_names(&error, item, &HEAD),
            }
            None
        }
    }
}
