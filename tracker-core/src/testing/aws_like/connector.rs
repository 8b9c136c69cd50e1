//! A connector that delivers requests as AWS would.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::call::{Call, Form, Kind, Member};
use super::members;
use super::partitions::{Direction, Place};
use super::recording::{Recording, Tables, key_of};
use super::refusal::Refusal;
use super::replicas::{Attributes, Replicas};
use super::service::Service;
use super::units::{capacities, place_of, without_capacity};
use crate::embedded;
use crate::testing::connector::detached;
use crate::testing::http;
use crate::testing::pools::Pool;

type Answer = Result<HttpResponse, ConnectorError>;

/// Delivers requests to another connector, under the conditions of a service.
#[derive(Debug, Clone)]
pub(super) struct AwsConnector {
    pub(super) inner: SharedHttpConnector,
    pub(super) service: Service,
    pub(super) pool: Pool,
}

impl HttpConnector for AwsConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            if connector.service.has_died(connector.pool) {
                return connector.wait_in_vain().await;
            }
            match Call::read(&request) {
                None => connector.inner.call(request).await,
                // Even if the caller stops waiting, a write is applied, and recorded.
                Some(call) if call.kind() == Kind::Write => {
                    let answer = detached(async move { connector.answer(request, call).await });
                    answer
                        .await
                        .unwrap_or_else(|| Err(ConnectorError::io("the runtime has shut down".into())))
                }
                Some(call) => connector.answer(request, call).await,
            }
        })
    }
}

impl AwsConnector {
    fn recording(&self) -> Recording<'_> {
        Recording { inner: &self.inner, service: &self.service }
    }

    /// Waits on a dead connection until the read timeout.
    async fn wait_in_vain(&self) -> Answer {
        match self.pool.read_timeout {
            Some(timeout) => self.service.sleep(timeout).await,
            None => std::future::pending().await,
        }
        Err(ConnectorError::timeout("no response began within the read timeout".into()))
    }

    async fn answer(&self, request: HttpRequest, call: Call) -> Answer {
        let latency = self.service.lag(self.service.conditions().latency, &call.operation);
        let there = latency / 2;
        let back = latency.saturating_sub(there);
        self.service.sleep(there).await;
        let answer = match self.refusal(&call) {
            Some(refusal) => refusal.response(),
            None => self.serve(request, call, back).await,
        };
        self.service.sleep(back).await;
        answer
    }

    /// Returns why a request is refused, whatever it asks for.
    fn refusal(&self, call: &Call) -> Option<Refusal> {
        let conditions = self.service.conditions();
        let name = format!("{}\n{}", call.operation, call.key_text());
        if self.service.happens("ClockRefused", &name, conditions.clock_refused) {
            return Some(Refusal::ClockRefused);
        }
        if self.service.happens("CredentialsExpired", &name, conditions.credentials_expired) {
            return Some(Refusal::CredentialsExpired);
        }
        let direction = match call.kind() {
            Kind::Read => Direction::Read,
            Kind::Write => Direction::Write,
            Kind::Definition | Kind::Other => return None,
        };
        let throttled = self.service.happens("Throttled", &name, conditions.throttled);
        throttled.then(|| {
            let table = call.tables().into_iter().next().unwrap_or_default();
            Refusal::Throttled(Place { table, index: call.index().map(str::to_owned), hash: None }, direction)
        })
    }

    async fn serve(&self, request: HttpRequest, mut call: Call, back: Duration) -> Answer {
        match call.kind() {
            Kind::Other => {
                let table = call.body["TableName"].as_str().filter(|_| call.operation == "DescribeTable");
                if table.is_some_and(|table| self.service.hides_definition(table)) {
                    return Refusal::UnknownTable.response();
                }
                self.inner.call(request).await
            }
            Kind::Definition => {
                let answer = self.inner.call(request).await;
                let is_changed = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
                if let Some(table) = call.body["TableName"].as_str().filter(|_| is_changed) {
                    self.service.replicas.forget(table);
                    if call.operation == "CreateTable" {
                        self.service.define(table);
                    }
                }
                answer
            }
            Kind::Read => {
                let tables = self.recording().tables(&request, &call).await?;
                let wants_capacity = self.service.ask_for_capacity(&mut call);
                let answer = self.read(request, call, &tables).await?;
                without_capacity(answer, wants_capacity).await
            }
            Kind::Write => {
                let tables = self.recording().tables(&request, &call).await?;
                let wants_capacity = self.service.ask_for_capacity(&mut call);
                let answer = self.write(request, call, &tables, back).await?;
                without_capacity(answer, wants_capacity).await
            }
        }
    }

    async fn read(&self, request: HttpRequest, mut call: Call, tables: &Tables) -> Answer {
        let table = call.body["TableName"].as_str().and_then(|name| tables.get(name)).cloned();
        let index = table.as_ref().and_then(|table| Some((table, table.index(call.index()?)?)));
        if index.is_some_and(|(_, index)| call.filters_by(|name| !index.projects(name))) {
            return Refusal::NotProjected.response();
        }
        let members = call.members();
        let places: Vec<_> = match (&index, &table) {
            (Some((table, index)), _) => vec![Place {
                table: table.name.clone(),
                index: Some(index.name.clone()),
                hash: call.hash_of_query(&index.hash),
            }],
            (None, Some(table)) if members.is_empty() => {
                let hash = table.key.first().and_then(|hash| call.hash_of_query(hash));
                vec![Place { table: table.name.clone(), index: None, hash }]
            }
            _ => members.iter().map(|member| place_of(member, tables)).collect(),
        };
        let mut refused: Vec<_> =
            places.iter().map(|place| self.out_of_units(place, Direction::Read)).collect();
        self.leave_unprocessed(&call, &places, Direction::Read, &mut refused);
        let unprocessed = match Self::refuse(&mut call, &refused)? {
            Ok(unprocessed) => unprocessed,
            Err(answer) => return Ok(answer),
        };
        let stale = self.service.conditions().stale_reads;
        let name = format!("stale\n{}", call.key_text());
        let body = if let Some((table, index)) = index.filter(|_| !call.is_consistent()) {
            let replicas = self.service.caught_up("StaleIndex")?;
            Some(replicas.read_index(&call, table, index))
        } else if !tables.is_empty()
            && call.index().is_none()
            && !call.is_consistent()
            && call.tables().iter().all(|name| tables.contains_key(name))
            && stale > 0.0
            && self.service.draw(&name) < stale
        {
            Some(self.service.caught_up("StaleRead")?.read(&call))
        } else {
            None
        };
        let answer = match body {
            Some(body) => embedded::respond(body)?,
            None => self.inner.call(http::with_body(request, SdkBody::from(call.body.to_string()))).await?,
        };
        let (answer, content) = http::content(answer).await?;
        let units: f64 =
            capacities(&content).map(|capacity| capacity["CapacityUnits"].as_f64().unwrap_or_default()).sum();
        let of_each = units / f64::from(u32::try_from(places.len()).unwrap_or(u32::MAX).max(1));
        for place in &places {
            self.service.take_units(place, Direction::Read, of_each);
        }
        match unprocessed {
            Some(rest) => http::with_unprocessed(answer, rest).await,
            None => Ok(answer),
        }
    }

    /// Serves a write, whose response takes `back` to arrive.
    async fn write(&self, request: HttpRequest, mut call: Call, tables: &Tables, back: Duration) -> Answer {
        let members = call.members();
        let keys: Vec<_> = members.iter().map(|member| key_of(member, tables)).collect();
        let token = call.body["ClientRequestToken"].as_str().map(str::to_owned);
        let mut refused: Vec<_> = members
            .iter()
            .zip(&keys)
            .map(|(member, key)| {
                self.conflict(member, key.as_ref(), token.as_deref())
                    .or_else(|| self.write_out_of_units(member, key.as_ref(), tables))
            })
            .collect();
        let own: Vec<_> = members.iter().map(|member| place_of(member, tables)).collect();
        self.leave_unprocessed(&call, &own, Direction::Write, &mut refused);
        if refused.contains(&Some(Refusal::TransactionInProgress)) {
            return Refusal::TransactionInProgress.response();
        }
        let unprocessed = match Self::refuse(&mut call, &refused)? {
            Ok(unprocessed) => unprocessed,
            Err(answer) => return Ok(answer),
        };
        let ids: Vec<_> = members
            .iter()
            .zip(&keys)
            .filter_map(|(member, key)| Some(id_of(member, key.as_ref()?)))
            .collect();
        let _under_way = (call.form() == Form::Transaction)
            .then(|| self.service.hold(ids, token.as_deref().unwrap_or_default(), back));
        let before = self.service.places(&members, &keys, tables);
        let like = request.try_clone();
        let answer = self.inner.call(http::with_body(request, SdkBody::from(call.body.to_string()))).await?;
        let (mut answer, content) = http::content(answer).await?;
        if content["__type"].as_str().is_some_and(|name| name.ends_with("#ConditionalCheckFailedException")) {
            // A failed condition costs at least a unit, and no response says so.
            own.iter().for_each(|place| self.service.take_units(place, Direction::Write, 1.0));
        }
        if answer.status().is_success() {
            if let Some(like) = like {
                self.recording().record(&like, &members, &keys, tables).await?;
            }
            let after = self.service.places(&members, &keys, tables);
            self.service.charge(&content, &before, &after);
        }
        if call.form() == Form::Statements {
            answer = members::with_refused(answer, &refused).await?;
        }
        match unprocessed {
            Some(rest) => http::with_unprocessed(answer, rest).await,
            None => Ok(answer),
        }
    }

    /// Returns the conflict of a write with a transaction that is under way.
    fn conflict(&self, member: &Member, key: Option<&Attributes>, token: Option<&str>) -> Option<Refusal> {
        let under_way = self.service.transaction_of(&id_of(member, key?))?;
        if token.is_some_and(|token| token == under_way) {
            return Some(Refusal::TransactionInProgress);
        }
        self.service.count("TransactionConflict");
        Some(Refusal::TransactionConflict)
    }

    fn write_out_of_units(
        &self,
        member: &Member,
        key: Option<&Attributes>,
        tables: &Tables,
    ) -> Option<Refusal> {
        let place = place_of(member, tables);
        let exhausted = tables.get(&member.table).into_iter().flat_map(|table| {
            let old =
                table.indexes.iter().enumerate().map(|(nth, index)| {
                    (index, key.and_then(|key| Replicas::hash_in_index(table, key, nth)))
                });
            let new =
                table.indexes.iter().map(|index| (index, member.assigned(&index.hash).map(Value::to_string)));
            old.chain(new)
                .filter_map(|(index, hash)| {
                    Some(Place {
                        table: table.name.clone(),
                        index: Some(index.name.clone()),
                        hash: Some(hash?),
                    })
                })
                .collect::<Vec<_>>()
        });
        let exhausted =
            exhausted.into_iter().find(|place| self.service.is_exhausted(place, Direction::Write));
        if let Some(place) = exhausted {
            self.service.count("OutOfUnits");
            return Some(Refusal::Throttled(place, Direction::Write));
        }
        self.out_of_units(&place, Direction::Write)
    }

    fn out_of_units(&self, place: &Place, direction: Direction) -> Option<Refusal> {
        self.service.is_exhausted(place, direction).then(|| {
            self.service.count("OutOfUnits");
            Refusal::Throttled(place.clone(), direction)
        })
    }

    /// Draws which members of a batch come back. At least one is processed: only a lack of units refuses all of them.
    fn leave_unprocessed(
        &self,
        call: &Call,
        places: &[Place],
        direction: Direction,
        refused: &mut [Option<Refusal>],
    ) {
        let what = match call.form() {
            Form::Batch => "Unprocessed",
            Form::Statements => "ThrottledMember",
            Form::One | Form::Transaction => return,
        };
        let mut processed = refused.iter().filter(|refusal| refusal.is_none()).count();
        for (place, refusal) in places.iter().zip(refused) {
            let name = place.hash.as_deref().unwrap_or_default();
            if refusal.is_none()
                && processed > 1
                && self.service.happens(what, name, self.service.conditions().unprocessed)
            {
                *refusal = Some(Refusal::Throttled(place.clone(), direction));
                processed -= 1;
            }
        }
    }

    /// Takes the refused members out of a request. Returns the unprocessed ones, or the response if nothing is left to be done.
    #[expect(clippy::type_complexity, reason = "one caller of each kind")]
    fn refuse(
        call: &mut Call,
        refused: &[Option<Refusal>],
    ) -> Result<Result<Option<(&'static str, Value)>, HttpResponse>, ConnectorError> {
        let Some(first) = refused.iter().flatten().next() else { return Ok(Ok(None)) };
        let nothing_left = refused.iter().all(Option::is_some);
        Ok(match call.form() {
            Form::One => Err(first.response()?),
            Form::Transaction => Err(Refusal::cancelled(refused)?),
            // A batch is refused as a whole only if none of its members could be processed.
            Form::Batch if nothing_left => Err(first.response()?),
            Form::Batch => Ok(Some(members::take_unprocessed(call, refused))),
            Form::Statements if nothing_left => {
                let mut empty =
                    http::json_response(200, json!({ "Responses": members::refused(refused) }).to_string())?;
                empty.headers_mut().insert("x-amzn-requestid", "AWS-LIKE");
                Err(empty)
            }
            Form::Statements => {
                members::take_statements(call, refused);
                Ok(None)
            }
        })
    }
}

fn id_of(member: &Member, key: &Attributes) -> String {
    format!("{}\n{}", member.table, Value::from(key.clone()))
}
