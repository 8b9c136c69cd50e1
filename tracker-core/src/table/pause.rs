//! The pauses of a use case's steps: one small item, which workers read before they claim tasks.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::dynamodb::{self, Context, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, number, string};
use crate::protocol::expression::Expression;

/// The beginning of the keys of pauses. No description has such a key, and no task.
const PREFIX: &str = "__tracker__pause____";
/// The attribute that holds the pauses.
const PAUSES: &str = "pauses";
/// How often the item was written.
const REVISION: &str = "revision";
/// How many rounds a write may lose against other writers.
const ROUNDS: u32 = 6;

/// The pause of a step: workers claim none of its tasks until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pause {
    /// The step: the name of its tracked type.
    pub step: String,
    /// When the pause ends by itself.
    pub until: DateTime<Utc>,
    /// When the pause began.
    pub since: DateTime<Utc>,
    /// Who has paused the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why the step is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn key_of(cx: &Context) -> String {
    format!("{PREFIX}{}", cx.use_case.id())
}

/// Reads the pauses of the use case, also those that have ended.
pub(crate) async fn read(cx: &Context, consistent: bool) -> Result<Vec<Pause>, Error> {
    let item = dynamodb::get(cx, &key_of(cx), consistent, false).await?;
    Ok(item.map(parse).transpose()?.unwrap_or_default().0)
}

/// Returns the pause of a step, if there is one that has not ended.
pub(crate) async fn of_step(cx: &Context) -> Result<Option<Pause>, Error> {
    let now = cx.now().wall;
    let step = cx.use_case.type_name();
    Ok(read(cx, false).await?.into_iter().find(|pause| pause.step == step && pause.until > now))
}

/// Sets or ends the pause of a step. Returns whether it was paused. Pauses that have ended are dropped.
pub(crate) async fn set(cx: &Context, step: &str, pause: Option<&Pause>) -> Result<bool, Error> {
    let key = key_of(cx);
    for _ in 0..ROUNDS {
        let item = dynamodb::get(cx, &key, true, false).await?;
        let (mut pauses, revision) = item.map(parse).transpose()?.unwrap_or_default();
        let now = cx.now().wall;
        pauses.retain(|pause| pause.until > now);
        let was_paused = pauses.iter().any(|pause| pause.step == step);
        if !was_paused && pause.is_none() {
            return Ok(false);
        }
        pauses.retain(|pause| pause.step != step);
        pauses.extend(pause.cloned());
        if put(cx, &key, &pauses, revision).await? {
            return Ok(was_paused);
        }
    }
    Err(Error::new(ErrorKind::Contended).with_key(&key))
}

/// Returns the pauses of an item, and how often it was written.
fn parse(mut item: Item) -> Result<(Vec<Pause>, Option<u64>), Error> {
    let unreadable = |attribute: &str, why: String| {
        Error::new(ErrorKind::Decode { attribute: attribute.to_owned() }).because(why)
    };
    let revision = item.get(REVISION).and_then(|revision| revision.as_n().ok()?.parse().ok());
    let revision = revision.ok_or_else(|| unreadable(REVISION, "no revision".to_owned()))?;
    let Some(AttributeValue::S(text)) = item.remove(PAUSES) else {
        return Err(unreadable(PAUSES, "no text".to_owned()));
    };
    let pauses = serde_json::from_str(&text).map_err(|error| unreadable(PAUSES, error.to_string()))?;
    Ok((pauses, Some(revision)))
}

/// Writes the pauses, unless another writer was faster. Returns whether they were written.
async fn put(cx: &Context, key: &str, pauses: &[Pause], revision: Option<u64>) -> Result<bool, Error> {
    let text = serde_json::to_string(pauses)
        .map_err(|error| Error::new(ErrorKind::Encode { attribute: PAUSES.to_owned() }).because(error))?;
    let item: Item = [
        (KEY.to_owned(), string(key)),
        (PAUSES.to_owned(), AttributeValue::S(text)),
        (REVISION.to_owned(), number(revision.unwrap_or(0) + 1)),
    ]
    .into();
    let seen = revision
        .map(|revision| Expression::new().and("#revision = :revision").with(":revision", number(revision)));
    let sent = dynamodb::settle(&*cx.clock, SENDS, || dynamodb::put(cx, key, item.clone(), seen.as_ref()));
    match sent.await {
        Ok(()) => Ok(true),
        Err(WriteError::Condition(_)) => Ok(false),
        Err(WriteError::Unknown(error)) => Err(WriteError::unknown_outcome(error)),
        Err(WriteError::Refused(error)) => Err(error),
    }
}
