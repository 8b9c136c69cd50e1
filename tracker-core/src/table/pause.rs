//! The pauses of a use case's steps: one small item, which workers read before they claim tasks.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::versioned::{self, Read};
use crate::dynamodb::Context;
use crate::error::Error;

/// The beginning of the keys of pauses. No description has such a key, and no task.
const PREFIX: &str = "__tracker__pause____";
/// The attribute that holds the pauses.
const PAUSES: &str = "pauses";

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
    let key = key_of(cx);
    match versioned::read(cx, &key, PAUSES, consistent).await? {
        Read::Absent => Ok(Vec::new()),
        Read::Found(pauses, _) => Ok(pauses),
        Read::Unreadable => Err(versioned::unreadable(&key, PAUSES)),
    }
}

/// Returns the pause of a step, if there is one that has not ended.
pub(crate) async fn of_step(cx: &Context) -> Result<Option<Pause>, Error> {
    let now = cx.now().wall;
    let step = cx.use_case.type_name();
    Ok(read(cx, false).await?.into_iter().find(|pause| pause.step == step && pause.until > now))
}

/// Sets or ends the pause of a step. Returns whether it was paused. Pauses that have ended are dropped.
pub(crate) async fn set(cx: &Context, step: &str, pause: Option<&Pause>) -> Result<bool, Error> {
    let change = |pauses: Option<Vec<Pause>>| {
        let mut pauses = pauses.unwrap_or_default();
        let now = cx.now().wall;
        pauses.retain(|pause| pause.until > now);
        let was_paused = pauses.iter().any(|pause| pause.step == step);
        if !was_paused && pause.is_none() {
            return Ok((None, false));
        }
        pauses.retain(|pause| pause.step != step);
        pauses.extend(pause.cloned());
        Ok((Some(pauses), was_paused))
    };
    versioned::change(cx, &key_of(cx), PAUSES, change).await
}
