//! A client that may do what an IAM policy allows, and nothing else.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use tracker_core::aws_sdk_dynamodb::Client;

use super::World;

/// What a policy allows, and what was denied.
#[derive(Debug, Clone)]
pub struct Guard {
    inner: SharedHttpClient,
    /// Actions on the table, and those on an index as `index Query`.
    allowed: Arc<BTreeSet<String>>,
    denied: Arc<Mutex<BTreeSet<String>>>,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Guard {
    /// Returns the world with a client that has this policy.
    pub fn world(world: &World, policy: &str) -> (World, Self) {
        let policy: Value = serde_json::from_str(policy).expect("a policy is JSON");
        let mut allowed = BTreeSet::new();
        for statement in policy["Statement"].as_array().expect("statements") {
            assert_eq!(statement["Effect"], "Allow");
            let is_index = statement["Resource"].as_str().expect("an ARN").ends_with("/index/*");
            for action in statement["Action"].as_array().expect("actions") {
                let action = action.as_str().and_then(|action| action.strip_prefix("dynamodb:"));
                let action = action.expect("an action of DynamoDB");
                allowed.insert(if is_index { format!("index {action}") } else { action.to_owned() });
            }
        }
        let inner = world.client.config().http_client().expect("an HTTP client");
        let guard = Self { inner, allowed: Arc::new(allowed), denied: Arc::default(), used: Arc::default() };
        let config = world.client.config().to_builder().http_client(guard.clone()).build();
        (World { client: Client::from_conf(config), ..world.clone() }, guard)
    }

    /// Returns the actions that were denied since the last call.
    pub fn denied(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.denied.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the actions that the policy allows and nobody has used.
    pub fn unused(&self) -> BTreeSet<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.allowed.difference(&used).cloned().collect()
    }

    /// Returns whether all actions of a request are allowed.
    fn allows(&self, request: &HttpRequest) -> bool {
        let actions = actions(request);
        let denied: Vec<_> =
            actions.iter().filter(|action| !self.allowed.contains(*action)).cloned().collect();
        self.used.lock().unwrap_or_else(PoisonError::into_inner).extend(actions);
        let is_allowed = denied.is_empty();
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).extend(denied);
        is_allowed
    }
}

/// Returns the actions of IAM that a request needs.
fn actions(request: &HttpRequest) -> Vec<String> {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let body: Value =
        request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    match operation {
        "BatchExecuteStatement" => vec!["PartiQLUpdate".to_owned()],
        "Query" | "Scan" if body["IndexName"].is_string() => vec![format!("index {operation}")],
        "TransactWriteItems" => {
            let actions = body["TransactItems"].as_array().into_iter().flatten();
            let names =
                actions.flat_map(|action| action.as_object().into_iter().flat_map(|action| action.keys()));
            let action = |name: &String| match name.as_str() {
                "ConditionCheck" => "ConditionCheckItem".to_owned(),
                name => format!("{name}Item"),
            };
            names.map(action).collect()
        }
        other => vec![other.to_owned()],
    }
}

impl HttpClient for Guard {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(GuardConnector { inner, guard: self.clone() })
    }
}

#[derive(Debug)]
struct GuardConnector {
    inner: SharedHttpConnector,
    guard: Guard,
}

impl HttpConnector for GuardConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if self.guard.allows(&request) {
            return self.inner.call(request);
        }
        let body =
            r#"{"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not in the policy"}"#;
        let mut response =
            HttpResponse::new(StatusCode::try_from(400).expect("a status"), SdkBody::from(body));
        response.headers_mut().insert("x-amzn-requestid", "DENIED");
        HttpConnectorFuture::ready(Ok(response))
    }
}
