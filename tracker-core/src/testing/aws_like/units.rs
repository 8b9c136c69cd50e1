//! Which partitions a request touches, and what it takes from them.

use std::collections::HashSet;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::Value;

use super::call::{Call, Member};
use super::partitions::{Direction, Place};
use super::recording::{Tables, key_of};
use super::replicas::{Attributes, Replicas};
use super::service::Service;
use crate::testing::http;

impl Service {
    /// Asks for the units of a request, because partitions are charged with them. Returns whether the caller asks for them.
    pub(super) fn ask_for_capacity(&self, call: &mut Call) -> bool {
        let wants = call.body["ReturnConsumedCapacity"].as_str().is_some_and(|wanted| wanted != "NONE");
        if self.conditions().throughput.is_some() {
            call.body["ReturnConsumedCapacity"] = "INDEXES".into();
        }
        wants || self.conditions().throughput.is_none()
    }

    /// Returns the places that each member touches, as far as they are known.
    pub(super) fn places(
        &self,
        members: &[Member],
        keys: &[Option<Attributes>],
        tables: &Tables,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        if self.conditions().throughput.is_none() {
            return places;
        }
        for (member, key) in members.iter().zip(keys) {
            places.push(place_of(member, tables));
            let (Some(table), Some(key)) = (tables.get(&member.table), key) else { continue };
            for (nth, index) in table.indexes.iter().enumerate() {
                let hash = Replicas::hash_in_index(table, key, nth);
                places.extend(hash.map(|hash| Place {
                    table: table.name.clone(),
                    index: Some(index.name.clone()),
                    hash: Some(hash),
                }));
            }
        }
        places
    }

    /// Charges partitions with what a write has cost, shared out among those that it has touched.
    pub(super) fn charge(&self, content: &Value, before: &[Place], after: &[Place]) {
        let touched: HashSet<_> = before.iter().chain(after).collect();
        for capacity in capacities(content) {
            let indexes = capacity["GlobalSecondaryIndexes"].as_object().into_iter().flatten();
            let parts =
                indexes.map(|(name, part)| (Some(name.as_str()), part)).chain([(None, &capacity["Table"])]);
            for (index, part) in parts {
                let units = part["CapacityUnits"].as_f64().unwrap_or_default();
                let places: Vec<_> = touched
                    .iter()
                    .filter(|place| {
                        capacity["TableName"] == place.table.as_str() && place.index.as_deref() == index
                    })
                    .collect();
                let of_each = units / f64::from(u32::try_from(places.len()).unwrap_or(u32::MAX).max(1));
                for place in places {
                    self.take_units(place, Direction::Write, of_each);
                }
            }
        }
    }
}

/// Removes the units from a response if the caller has not asked for them.
pub(super) async fn without_capacity(
    answer: HttpResponse,
    wanted: bool,
) -> Result<HttpResponse, ConnectorError> {
    if wanted {
        return Ok(answer);
    }
    http::changed(answer, |content| {
        content.as_object_mut().map(|content| content.remove("ConsumedCapacity"));
    })
    .await
}

/// Returns what a response says of units: table by table.
pub(super) fn capacities(content: &Value) -> impl Iterator<Item = &Value> {
    let capacity = &content["ConsumedCapacity"];
    let several = capacity.as_array().into_iter().flatten();
    several.chain(Some(capacity).filter(|capacity| capacity.is_object()))
}

/// Returns the place of an item in its table.
pub(super) fn place_of(member: &Member, tables: &Tables) -> Place {
    let key = key_of(member, tables);
    let hash = tables.get(&member.table).and_then(|table| key?.get(table.key.first()?).map(Value::to_string));
    Place { table: member.table.clone(), index: None, hash }
}
