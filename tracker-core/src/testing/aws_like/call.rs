//! What a request asks for: its operation, its tables, and the items that it reads or writes.

use aws_sdk_dynamodb::config::http::HttpRequest;
use serde_json::{Map, Value};

use super::statement;
use crate::testing::http;

/// A request, decoded.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) body: Value,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    /// Creates, changes or deletes a table.
    Definition,
    Other,
}

/// How an operation is refused in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    One,
    /// `BatchGetItem` and `BatchWriteItem`.
    Batch,
    Statements,
    Transaction,
}

/// One item that a request reads or writes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    /// Empty if the request does not name a table that can be read.
    pub(super) table: String,
    pub(super) item: MemberItem,
    /// What an update assigns.
    assigned: Vec<(String, Value)>,
}

impl Member {
    /// Returns the value that a write gives to an attribute, if the request says it.
    pub(super) fn assigned(&self, name: &str) -> Option<&Value> {
        match &self.item {
            MemberItem::Attributes(item) if item.contains_key(name) => item.get(name),
            _ => self.assigned.iter().find(|(of, _)| of == name).map(|(_, value)| value),
        }
    }
}

/// How a member names its item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MemberItem {
    /// The item, or its primary key.
    Attributes(Map<String, Value>),
    /// The attributes that a statement compares with values.
    Compared(Vec<(String, Value)>),
}

impl MemberItem {
    /// Returns the primary key; `None` if an attribute of it is missing.
    pub(super) fn key(&self, names: &[String]) -> Option<Map<String, Value>> {
        let value = |name: &String| match self {
            Self::Attributes(item) => item.get(name).cloned(),
            Self::Compared(all) => all.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone()),
        };
        names.iter().map(|name| Some((name.clone(), value(name)?))).collect()
    }
}

impl Call {
    /// Returns `None` if the body is not an object in memory.
    pub(super) fn read(request: &HttpRequest) -> Option<Self> {
        let body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
        body.is_object().then(|| Self { operation: http::operation(request).to_owned(), body })
    }

    pub(super) fn kind(&self) -> Kind {
        match self.operation.as_str() {
            "GetItem" | "BatchGetItem" | "Query" | "Scan" => Kind::Read,
            "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => Kind::Write,
            "BatchExecuteStatement" | "ExecuteStatement" | "ExecuteTransaction" => {
                if self.statements().iter().flatten().all(statement::Statement::is_read) {
                    Kind::Other
                } else {
                    Kind::Write
                }
            }
            "CreateTable" | "UpdateTable" | "DeleteTable" => Kind::Definition,
            _ => Kind::Other,
        }
    }

    pub(super) fn form(&self) -> Form {
        match self.operation.as_str() {
            "BatchGetItem" | "BatchWriteItem" => Form::Batch,
            "BatchExecuteStatement" => Form::Statements,
            "TransactWriteItems" | "ExecuteTransaction" => Form::Transaction,
            _ => Form::One,
        }
    }

    /// Returns whether the filter has an attribute of a kind.
    pub(super) fn filters_by(&self, is_of_kind: impl Fn(&String) -> bool) -> bool {
        let filter = self.body["FilterExpression"].as_str().unwrap_or_default();
        let words: Vec<_> =
            filter.split(|c: char| !c.is_alphanumeric() && !matches!(c, '#' | '_' | ':')).collect();
        let names = self.body["ExpressionAttributeNames"].as_object().into_iter().flatten();
        names
            .filter(|(alias, _)| words.contains(&alias.as_str()))
            .any(|(_, name)| name.as_str().is_some_and(|name| is_of_kind(&name.to_owned())))
    }

    /// Returns the items of the request, in its order; those of a batch table by table. A query or a scan has none.
    pub(super) fn members(&self) -> Vec<Member> {
        let body = &self.body;
        let member = |table: &Value, item: &Value| {
            let item = item.as_object()?.clone();
            let table = table.as_str()?.to_owned();
            Some(Member { table, item: MemberItem::Attributes(item), assigned: Vec::new() })
        };
        match self.operation.as_str() {
            "PutItem" => member(&body["TableName"], &body["Item"]).into_iter().collect(),
            "GetItem" | "UpdateItem" | "DeleteItem" => {
                let member = member(&body["TableName"], &body["Key"]);
                member.map(|member| Member { assigned: assigned(body), ..member }).into_iter().collect()
            }
            "BatchGetItem" | "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object().into_iter().flatten();
                let members = tables.flat_map(|(table, batch)| {
                    let all = batch.as_array().or_else(|| batch["Keys"].as_array());
                    all.into_iter().flatten().filter_map(move |entry| {
                        let item = [&entry["PutRequest"]["Item"], &entry["DeleteRequest"]["Key"], entry];
                        let item = item.into_iter().find(|item| item.is_object())?;
                        member(&Value::from(table.as_str()), item)
                    })
                });
                members.collect()
            }
            "TransactWriteItems" => {
                let actions = body["TransactItems"].as_array().into_iter().flatten();
                let members = actions.filter_map(|action| {
                    let action = action.as_object()?.values().next()?;
                    let item = if action["Item"].is_object() { &action["Item"] } else { &action["Key"] };
                    let member = member(&action["TableName"], item)?;
                    Some(Member { assigned: assigned(action), ..member })
                });
                members.collect()
            }
            "Query" | "Scan" => Vec::new(),
            _ => {
                let statements = self.statements().into_iter();
                statements
                    .map(|statement| {
                        let statement = statement.unwrap_or_default();
                        let item = MemberItem::Compared(statement.compared);
                        Member { table: statement.table, item, assigned: statement.assigned }
                    })
                    .collect()
            }
        }
    }

    /// Returns the tables of the request.
    pub(super) fn tables(&self) -> Vec<String> {
        let mut tables: Vec<_> = self.members().into_iter().map(|member| member.table).collect();
        tables.extend(self.body["TableName"].as_str().map(str::to_owned));
        tables.retain(|table| !table.is_empty());
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// Returns the index that a query or a scan reads.
    pub(super) fn index(&self) -> Option<&str> {
        self.body["IndexName"].as_str()
    }

    /// Returns whether a read sees all earlier writes.
    pub(super) fn is_consistent(&self) -> bool {
        let of_batch = || {
            let mut tables = self.body["RequestItems"].as_object().into_iter().flat_map(Map::values);
            tables.any(|batch| batch["ConsistentRead"] == true)
        };
        self.body["ConsistentRead"] == true || of_batch()
    }

    /// Returns the value that a query compares the hash key with, as text.
    pub(super) fn hash_of_query(&self, hash_key: &str) -> Option<String> {
        let condition = self.body["KeyConditionExpression"].as_str()?;
        let names = &self.body["ExpressionAttributeNames"];
        condition.split(" AND ").find_map(|part| {
            let (name, value) = part.trim_matches(['(', ')', ' ']).split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let name = names[name].as_str().unwrap_or(name);
            (name == hash_key).then(|| self.body["ExpressionAttributeValues"][value].to_string())
        })
    }

    /// Returns the item of the request as text, or the first one of several.
    pub(super) fn key_text(&self) -> String {
        match self.members().into_iter().next().map(|member| member.item) {
            Some(MemberItem::Attributes(item)) if self.body["Item"].is_null() => {
                Value::from(item).to_string()
            }
            Some(MemberItem::Attributes(item)) => {
                item.values().next().map(Value::to_string).unwrap_or_default()
            }
            Some(MemberItem::Compared(compared)) => format!("{compared:?}"),
            None => String::new(),
        }
    }

    fn statements(&self) -> Vec<Option<statement::Statement>> {
        let one = |body: &Value| {
            let parameters = body["Parameters"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            statement::parse(body["Statement"].as_str()?, parameters)
        };
        let several =
            self.body["Statements"].as_array().or_else(|| self.body["TransactStatements"].as_array());
        match several {
            Some(several) => several.iter().map(one).collect(),
            None => vec![one(&self.body)],
        }
    }
}

/// Returns what the `SET` of an update expression assigns from values.
fn assigned(update: &Value) -> Vec<(String, Value)> {
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    let parts = expression.split([',']).filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        let name = name.trim().trim_start_matches("SET ").trim();
        let name = update["ExpressionAttributeNames"][name].as_str().unwrap_or(name);
        let value = value.split_whitespace().next()?;
        Some((name.to_owned(), update["ExpressionAttributeValues"].get(value)?.clone()))
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;
    use serde_json::json;

    use super::*;

    fn call(operation: &str, body: &Value) -> Call {
        let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
        request.headers_mut().insert("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        Call::read(&request).unwrap()
    }

    fn keys(call: &Call) -> Vec<String> {
        let key =
            |member: Member| member.item.key(&["key".to_owned()]).map(|key| key["key"]["S"].to_string());
        call.members().into_iter().map(|member| key(member).unwrap_or_default().replace('"', "")).collect()
    }

    #[test]
    fn every_write_names_its_items() {
        let item = |key: &str| json!({ "key": { "S": key }, "n": { "N": "1" } });
        for (operation, body, expected) in [
            ("PutItem", json!({ "TableName": "t", "Item": item("a") }), vec!["a"]),
            ("UpdateItem", json!({ "TableName": "t", "Key": item("b") }), vec!["b"]),
            (
                "BatchWriteItem",
                json!({ "RequestItems": { "t": [
                    { "PutRequest": { "Item": item("c") } }, { "DeleteRequest": { "Key": item("d") } },
                ] } }),
                vec!["c", "d"],
            ),
            (
                "TransactWriteItems",
                json!({ "TransactItems": [
                    { "Put": { "TableName": "t", "Item": item("e") } },
                    { "ConditionCheck": { "TableName": "t", "Key": item("f") } },
                ] }),
                vec!["e", "f"],
            ),
            (
                "BatchExecuteStatement",
                json!({ "Statements": [
                    { "Statement": "UPDATE \"t\" SET \"n\"=? WHERE \"key\"=?", "Parameters": [{ "N": "1" }, { "S": "g" }] },
                    { "Statement": "DELETE FROM t WHERE key = 'h'" },
                ] }),
                vec!["g", "h"],
            ),
        ] {
            let call = call(operation, &body);
            assert_eq!(
                (call.kind(), keys(&call), call.tables()),
                (Kind::Write, expected.iter().map(|key| (*key).to_owned()).collect(), vec!["t".to_owned()]),
                "{operation}"
            );
        }
    }

    #[test]
    fn reads_tell_their_consistency_and_their_hash_key() {
        let get =
            call("BatchGetItem", &json!({ "RequestItems": { "t": { "Keys": [{ "key": { "S": "a" } }] } } }));
        assert_eq!((get.kind(), get.is_consistent(), keys(&get)), (Kind::Read, false, vec!["a".to_owned()]));
        let query = call(
            "Query",
            &json!({
                "TableName": "t", "IndexName": "i",
                "KeyConditionExpression": "#h = :h AND #r BETWEEN :a AND :b",
                "ExpressionAttributeNames": { "#h": "value", "#r": "time" },
                "ExpressionAttributeValues": { ":h": { "S": "x" }, ":a": { "S": "1" }, ":b": { "S": "2" } },
            }),
        );
        assert_eq!(query.hash_of_query("value").as_deref(), Some(r#"{"S":"x"}"#));
        assert_eq!(query.hash_of_query("time"), None);
        let select =
            call("ExecuteStatement", &json!({ "Statement": "SELECT * FROM \"t\" WHERE \"key\"='a'" }));
        assert_eq!(select.kind(), Kind::Other);
    }
}
