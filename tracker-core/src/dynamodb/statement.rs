//! The request `BatchExecuteStatement`: updates of several items, each with its own condition and its own result.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    BatchStatementErrorCodeEnum as Code, BatchStatementRequest, BatchStatementResponse,
};
use futures_util::future::join_all;

use super::batch::batch_get;
use super::context::Context;
use super::group::{Answer, Member};
use super::response::{classify, failed_condition, not_built, write_error};
use super::write_error::{FailedCondition, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY};
use crate::protocol::expression::Expression;
use crate::protocol::partiql::Statement;

impl Context {
    /// Returns an update as a statement, or none if `PartiQL` cannot express the update.
    pub(super) fn statement(&self, update: &Expression, key: &str, returns_item: bool) -> Option<Statement> {
        self.templates.statement(update, &self.config.table, &self.names, key, returns_item)
    }
}

/// Sends several updates in one request. No two members may have the same key. Returns the answer of each member, in order; none
/// for those whose items must be read. Takes the statements out of the members.
pub(super) async fn execute(cx: &Context, client: &Client, members: &mut [Member]) -> Vec<Option<Answer>> {
    let mut statements = Vec::with_capacity(members.len());
    for Member { statement, .. } in &mut *members {
        let request = BatchStatementRequest::builder()
            .statement(std::mem::take(&mut statement.text))
            .set_parameters(Some(std::mem::take(&mut statement.parameters)));
        match request.build() {
            Ok(request) => statements.push(request),
            Err(error) => return all(members, &WriteError::Refused(not_built(error))),
        }
    }
    let sent = client.batch_execute_statement().set_statements(Some(statements)).send().await;
    let responses = match sent {
        Ok(output) => output.responses.unwrap_or_default(),
        Err(error) => {
            let refusal = error.code().map_or(Refusal::None, Refusal::from);
            let error = classify(&cx.config.table, error);
            if refusal != Refusal::None {
                if refusal == Refusal::AnyStatement {
                    cx.stop_sharing(&error);
                }
                let may_be_applied = error.was_retried();
                return members.iter().map(|_| Some(Answer::Alone { may_be_applied })).collect();
            }
            return all(members, &write_error(error));
        }
    };
    members
        .iter()
        .zip(responses.into_iter().map(Some).chain(std::iter::repeat_with(|| None)))
        .map(|(member, response)| answer(cx, member, response))
        .collect()
}

/// What DynamoDB refuses of a request with statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Nothing that has to do with statements.
    None,
    /// These statements.
    TheseStatements,
    /// Every statement: a permission is missing, or the server has no `PartiQL`.
    AnyStatement,
}

impl From<&str> for Refusal {
    fn from(code: &str) -> Self {
        match code {
            "AccessDeniedException" | "UnknownOperationException" => Self::AnyStatement,
            "ValidationException" | "SerializationException" => Self::TheseStatements,
            _ => Self::None,
        }
    }
}

/// Returns the same answer for every member.
fn all(members: &[Member], error: &WriteError) -> Vec<Option<Answer>> {
    let copy = || match error {
        WriteError::Unknown(error) => WriteError::Unknown(error.copied()),
        WriteError::Refused(error) => WriteError::Refused(error.copied()),
        // A request as a whole has no condition.
        WriteError::Condition(_) => WriteError::Unknown(Error::new(ErrorKind::Unavailable)),
    };
    members.iter().map(|_| Some(Answer::Result(Err(copy())))).collect()
}

/// Returns the answer of a member, or none if its item must be read: the condition failed, or the item did not come.
fn answer(cx: &Context, member: &Member, response: Option<BatchStatementResponse>) -> Option<Answer> {
    let Some(response) = response else {
        // DynamoDB answers every statement; whatever has dropped this answer may have dropped an applied write.
        let missing = Error::new(ErrorKind::Unavailable).with_reason("the answer to this write is missing");
        return Some(Answer::Result(Err(WriteError::Unknown(missing.with_key(&member.key)))));
    };
    let Some(error) = response.error else {
        // Not every server returns the new item. The image shows then that the write was applied.
        let is_complete = response.item.is_some() || !member.statement.returns_item;
        return is_complete.then_some(Answer::Result(Ok(response.item.map(|item| cx.names.read(item)))));
    };
    let message = error.message.unwrap_or_default();
    let Some(code) = error.code else {
        return Some(Answer::Alone { may_be_applied: true });
    };
    let answered = || format!("it answered with {}", code.as_str());
    let (kind, reason) = match &code {
        Code::ConditionalCheckFailed => return None,
        // Alone, because the SDK sends a throttled request again, and its response says why it was throttled.
        Code::ProvisionedThroughputExceeded | Code::RequestLimitExceeded | Code::ThrottlingError => {
            return Some(Answer::Alone { may_be_applied: true });
        }
        Code::InternalServerError => (ErrorKind::Unavailable, answered()),
        Code::ValidationError if message.contains("Item size") => (ErrorKind::ItemTooLarge, message),
        Code::ResourceNotFound => (ErrorKind::TableNotFound { table: cx.config.table.to_string() }, message),
        other => {
            let error = Error::new(ErrorKind::Service { code: Some(other.as_str().to_owned()) });
            if *other == Code::AccessDenied {
                cx.stop_sharing(&error.with_reason(message).with_key(&member.key));
            }
            return Some(Answer::Alone { may_be_applied: true });
        }
    };
    let error = Error::new(kind).with_reason(reason).with_key(&member.key);
    // The SDK may have sent the request before, and the earlier copy may have been applied.
    Some(Answer::Result(Err(write_error(error.retried(true)))))
}

/// Reads the items of the members whose conditions failed, all in one request.
///
/// DynamoDB may return such an item in the answer or not, so the item is always read. The image is then as late as that of an
/// update without an answer, and is judged in the same way.
pub(super) async fn add_images(
    cx: &Context,
    members: &[Member],
    failed: &[usize],
    answers: &mut [Option<Answer>],
) {
    if failed.is_empty() {
        return;
    }
    let keys = failed.iter().map(|nth| members[*nth].key.to_string()).collect();
    let read = batch_get(cx, cx.client(), keys, &[], true).await;
    let images = failed.iter().map(|&nth| {
        let (key, read) = (&members[nth].key, &read);
        async move {
            match read {
                Ok((items, unprocessed)) if !unprocessed.iter().any(|left| **left == **key) => {
                    let is_it = |item: &&Item| {
                        item.get(KEY)
                            .and_then(|stored| stored.as_s().ok())
                            .is_some_and(|stored| **stored == **key)
                    };
                    let image = items.iter().find(is_it).cloned();
                    WriteError::Condition(FailedCondition { image, is_first_try: false })
                }
                // Alone, as after an update that is a request of its own. The permission for the other may be missing.
                _ => failed_condition(cx, key, None, None).await,
            }
        }
    });
    // All at once, so that the images are as old as the slowest read, and not as all reads together.
    let images = join_all(images).await;
    for (&nth, image) in failed.iter().zip(images) {
        answers[nth] = Some(Answer::Result(Err(image)));
    }
}

/// Sends one update as a statement, to find out whether that is allowed.
pub(crate) async fn try_statement(cx: &Context, key: &str, update: &Expression) -> Result<(), WriteError> {
    let Some(Statement { text, parameters, .. }) = cx.statement(update, key, false) else {
        return Ok(());
    };
    let request = BatchStatementRequest::builder().statement(text).set_parameters(Some(parameters)).build();
    let request = request.map_err(|error| WriteError::Refused(not_built(error)))?;
    match cx.client().batch_execute_statement().statements(request).send().await {
        Ok(output) => {
            let refusal = output.responses().iter().find_map(|response| response.error()?.code());
            if refusal == Some(&Code::AccessDenied) {
                let code = Some("AccessDeniedException".to_owned());
                return Err(WriteError::Refused(Error::new(ErrorKind::Service { code })));
            }
            // Its condition does not hold.
            Ok(())
        }
        Err(error) => Err(write_error(classify(&cx.config.table, error))),
    }
}
