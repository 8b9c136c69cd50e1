//! Writes of a user's own, on counters beside the tasks.

use tracker_core::aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::{Item, World, number, text};

impl World {
    /// An effect that adds 1 to a counter.
    pub fn count(&self, counter: &str) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(self.key(counter)))
            .update_expression("ADD n :one")
            .expression_attribute_values(":one", number(1));
        TransactWriteItem::builder().update(update.build().expect("an update")).build()
    }

    /// An effect that adds 1 to a counter that exists, and asks for the counter if it does not hold that it has this number.
    pub fn count_from(&self, counter: &str, from: u64) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(self.key(counter)))
            .update_expression("ADD n :one")
            .condition_expression("n = :from")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":from", number(from))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        TransactWriteItem::builder().update(update.build().expect("an update")).build()
    }

    /// An effect that puts a counter, without a condition.
    pub fn put_counter(&self, counter: &str, n: u64) -> TransactWriteItem {
        let put =
            Put::builder().table_name(&self.table).set_item(Some(self.to_table(counter_item(counter, n))));
        TransactWriteItem::builder().put(put.build().expect("a put")).build()
    }

    /// An effect that deletes a counter.
    pub fn delete_counter(&self, counter: &str) -> TransactWriteItem {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(self.key(counter)));
        TransactWriteItem::builder().delete(delete.build().expect("a delete")).build()
    }

    /// An effect that writes nothing, and asks that a counter exists.
    pub fn check_counter(&self, counter: &str) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(self.key(counter)))
            .condition_expression("attribute_exists(n)");
        TransactWriteItem::builder().condition_check(check.build().expect("a check")).build()
    }

    /// The number of a counter, read with the SDK alone; 0 if there is none.
    pub async fn counted(&self, counter: &str) -> u64 {
        let item = self.stored_under(counter).await.unwrap_or_default();
        item.get("n").map_or(0, |n| n.as_n().expect("a number").parse().expect("a small number"))
    }
}

pub fn counter_item(counter: &str, n: u64) -> Item {
    [("key".to_owned(), text(counter)), ("n".to_owned(), number(n))].into()
}
