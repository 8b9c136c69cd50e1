//! What lagging copies are fed with: each write is read back, and recorded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::{Map, Value, json};

use super::call::{Call, Member};
use super::replicas::{Attributes, Copy, Table};
use super::service::Service;
use crate::testing::http;

/// The copies of some tables, by their names.
pub(super) type Tables = HashMap<String, Arc<Table>>;

/// Reads and records what requests write.
pub(super) struct Recording<'a> {
    pub(super) inner: &'a SharedHttpConnector,
    pub(super) service: &'a Service,
}

impl Recording<'_> {
    /// Returns the copies of the tables of a request, which the first request of a table makes. A table that does not exist has none.
    pub(super) async fn tables(&self, like: &HttpRequest, call: &Call) -> Result<Tables, ConnectorError> {
        let mut tables = Tables::new();
        for name in call.tables() {
            let known = self.service.replicas.table(&name);
            let table = match known {
                Some(table) => Some(table),
                None => self.add_table(like, &name).await?,
            };
            tables.extend(table.map(|table| (name, table)));
        }
        Ok(tables)
    }

    async fn add_table(&self, like: &HttpRequest, name: &str) -> Result<Option<Arc<Table>>, ConnectorError> {
        let adding = Arc::clone(&self.service.adding);
        let _one_at_a_time = adding.lock().await;
        if let Some(table) = self.service.replicas.table(name) {
            return Ok(Some(table));
        }
        let Some(described) = self.ask(like, "DescribeTable", &json!({ "TableName": name })).await? else {
            return Ok(None);
        };
        let mut items = Vec::new();
        let mut scan = json!({ "TableName": name, "ConsistentRead": true });
        loop {
            let Some(mut page) = self.ask(like, "Scan", &scan).await? else { return Ok(None) };
            let found = page["Items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            items.extend(found.into_iter().filter_map(|item| match item {
                Value::Object(item) => Some(item),
                _ => None,
            }));
            match page.get("LastEvaluatedKey") {
                Some(last) if last.is_object() => scan["ExclusiveStartKey"] = last.clone(),
                _ => break,
            }
        }
        let added = self.service.replicas.add(&described["Table"], items);
        added.map(Some).map_err(|error| ConnectorError::other(error.into(), None))
    }

    /// Sends a request of the wrapper's own. Returns `None` if it is refused.
    async fn ask(
        &self,
        like: &HttpRequest,
        operation: &str,
        body: &Value,
    ) -> Result<Option<Value>, ConnectorError> {
        let Some(request) = http::other_operation(like, operation, body) else { return Ok(None) };
        let (answer, content) = http::content(self.inner.call(request).await?).await?;
        Ok(answer.status().is_success().then_some(content))
    }

    /// Reads what a request has written, and records it.
    pub(super) async fn record(
        &self,
        like: &HttpRequest,
        members: &[Member],
        keys_of_all: &[Option<Attributes>],
        tables: &Tables,
    ) -> Result<(), ConnectorError> {
        for (name, table) in tables {
            let of_table = members.iter().zip(keys_of_all).filter(|(member, _)| member.table == *name);
            let mut seen = HashSet::new();
            let keys: Vec<_> = of_table
                .filter_map(|(_, key)| key.clone())
                .filter(|key| seen.insert(Value::from(key.clone()).to_string()))
                .collect();
            let has_unknown =
                members.iter().zip(keys_of_all).any(|(member, key)| member.table == *name && key.is_none());
            if has_unknown {
                // Which item a statement of another form writes is not known: the table is read again.
                self.service.replicas.forget(name);
                continue;
            }
            if keys.is_empty() {
                continue;
            }
            let _in_order = table.recording.lock().await;
            let get = json!({ "RequestItems": { name: { "Keys": keys, "ConsistentRead": true } } });
            let answer = self.ask(like, "BatchGetItem", &get).await.unwrap_or_default();
            let complete =
                answer.filter(|answer| answer["UnprocessedKeys"].as_object().is_none_or(Map::is_empty));
            let Some(found) = complete else {
                // The write was applied, so its caller is told so. The copies are made anew.
                self.service.replicas.forget(name);
                continue;
            };
            let found = found["Responses"][name].as_array().cloned().unwrap_or_default();
            let images: HashMap<_, _> = found
                .into_iter()
                .filter_map(|item| match item {
                    Value::Object(item) => Some((Value::from(table.key_of(&item)).to_string(), item)),
                    _ => None,
                })
                .collect();
            let conditions = self.service.conditions();
            let mut lag = |copy: Copy, of: &str| {
                let spread = if copy == Copy::Index { conditions.index_lag } else { conditions.replica_lag };
                self.service.lag(spread, of)
            };
            let now = self.service.now();
            for key in &keys {
                let image = images.get(&Value::from(key.clone()).to_string());
                self.service.replicas.record(table, key, image, now, &mut lag);
            }
            // What is due does not pile up, also if nobody reads the copies.
            let caught_up = self.service.replicas.catch_up(now);
            caught_up.map_err(|error| ConnectorError::other(error.into(), None))?;
        }
        Ok(())
    }
}

pub(super) fn key_of(member: &Member, tables: &Tables) -> Option<Attributes> {
    member.item.key(&tables.get(&member.table)?.key)
}
