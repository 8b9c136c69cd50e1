//! The forms in which others hand over an item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::attribute::Item;

/// An item, in one of the forms in which others hand it over.
///
/// | form | who gives it | feature |
/// |---|---|---|
/// | `HashMap<String, aws_sdk_dynamodb::types::AttributeValue>` | the SDK's client of DynamoDB | |
/// | `HashMap<String, aws_sdk_dynamodbstreams::types::AttributeValue>` | the SDK's client of streams: `StreamRecord::new_image` | `streams` |
/// | `serde_dynamo::Item` | `aws_lambda_events`: `StreamRecord::new_image` | `lambda` |
///
/// Without the feature `lambda`, `HashMap::<String, AttributeValue>::from(image)` converts the last form into the first.
pub trait IntoItem: sealed::IntoItem {}

impl<I: sealed::IntoItem> IntoItem for I {}

mod sealed {
    use super::Item;

    pub trait IntoItem {
        fn into_item(self) -> Item;
    }
}

impl sealed::IntoItem for HashMap<String, AttributeValue> {
    fn into_item(self) -> Item {
        self
    }
}

#[cfg(feature = "streams")]
impl sealed::IntoItem for HashMap<String, aws_sdk_dynamodbstreams::types::AttributeValue> {
    fn into_item(self) -> Item {
        let image = self.into_iter().map(|(name, value)| (name, serde_dynamo::AttributeValue::from(value)));
        image.map(|(name, value)| (name, value.into())).collect()
    }
}

#[cfg(feature = "lambda")]
impl sealed::IntoItem for serde_dynamo::Item {
    fn into_item(self) -> Item {
        self.into()
    }
}
