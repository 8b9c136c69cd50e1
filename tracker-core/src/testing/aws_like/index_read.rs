//! Queries and scans of the copy of an index.

use std::collections::HashSet;

use dynoxide::DynoxideError;
use dynoxide::types::{Item, item_size, read_capacity_units_with_consistency};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::replicas::{Attributes, ENTRY, Index, KEY_OF_ITEM, Replicas, Table};

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "Items")]
    items: Vec<Item>,
}

impl Replicas {
    /// Answers a query or a scan of an index, as its copy is.
    pub(super) fn read_index(
        &self,
        call: &Call,
        table: &Table,
        index: &Index,
    ) -> Result<String, DynoxideError> {
        let mut body = call.body.clone();
        body["TableName"] = index.copy.as_str().into();
        if let Some(from) = body["ExclusiveStartKey"].as_object() {
            let hash = from.get(&index.hash).map(Value::to_string).unwrap_or_default();
            let entry = index.entry(&table.key_of(from), &hash);
            let mut from: Attributes = from.clone();
            from.retain(|name, _| *name == index.hash || Some(name) == index.range.as_ref());
            from.insert(ENTRY.to_owned(), json!({ "S": entry }));
            body["ExclusiveStartKey"] = from.into();
        }
        let text = self.send(&call.operation, &body)?;
        let mut response: Value = serde_json::from_str(&text)
            .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
        for item in response["Items"].as_array_mut().into_iter().flatten() {
            if let Some(item) = item.as_object_mut() {
                item.remove(ENTRY);
                item.remove(KEY_OF_ITEM);
            }
        }
        if let Some(last) = response.get_mut("LastEvaluatedKey").and_then(Value::as_object_mut) {
            let entry = last.remove(ENTRY).unwrap_or_default();
            last.extend(self.key_of_entry(index, &entry)?);
        }
        if response["ConsumedCapacity"].is_object() {
            let units = self.units_of_page(call, &body, &response)?;
            let capacity = &mut response["ConsumedCapacity"];
            capacity["TableName"] = table.name.as_str().into();
            capacity["CapacityUnits"] = units.into();
            if let Some(part) = capacity["GlobalSecondaryIndexes"].get_mut(&index.name) {
                part["CapacityUnits"] = units.into();
            }
        }
        Ok(response.to_string())
    }

    /// Returns the primary key of the item of an entry at which a page has ended. The copy has it, also if a filter hides it.
    fn key_of_entry(&self, index: &Index, entry: &Value) -> Result<Attributes, DynoxideError> {
        let get = json!({ "TableName": index.copy, "Key": { ENTRY: entry } });
        let found: Value = serde_json::from_str(&self.send("GetItem", &get)?).unwrap_or_default();
        let key = found["Item"][KEY_OF_ITEM]["S"].as_str().and_then(|key| serde_json::from_str(key).ok());
        key.ok_or_else(|| DynoxideError::InternalServerError("an entry of an index has no key".to_owned()))
    }

    /// Returns the units that a page takes of the index itself, whose entries lack what only a copy has.
    fn units_of_page(&self, call: &Call, body: &Value, response: &Value) -> Result<f64, DynoxideError> {
        let mut bytes = 0;
        if let Some(read @ 1..) = response["ScannedCount"].as_u64() {
            let mut whole = json!({ "Limit": read });
            for name in
                ["TableName", "IndexName", "ExclusiveStartKey", "ScanIndexForward", "KeyConditionExpression"]
            {
                if let Some(value) = body.get(name) {
                    whole[name] = value.clone();
                }
            }
            // A name or a value that no expression uses is refused.
            let condition = body["KeyConditionExpression"].as_str().unwrap_or_default();
            let is_part = |c: char| c.is_alphanumeric() || "#:_".contains(c);
            let used: HashSet<_> = condition.split(|c| !is_part(c)).collect();
            for name in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
                let all = body[name].as_object().into_iter().flatten();
                let used: Attributes = all
                    .filter(|(name, _)| used.contains(name.as_str()))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                if !used.is_empty() {
                    whole[name] = used.into();
                }
            }
            let page: Page = serde_json::from_str(&self.send(&call.operation, &whole)?)
                .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
            for mut item in page.items {
                item.retain(|name, _| name != ENTRY && name != KEY_OF_ITEM);
                bytes += item_size(&item);
            }
        }
        Ok(read_capacity_units_with_consistency(bytes, false))
    }
}
