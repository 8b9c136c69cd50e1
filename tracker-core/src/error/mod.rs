//! The error type of all operations.

mod advice;
mod kind;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aws_sdk_dynamodb::types::AttributeValue;

pub use self::advice::Advice;
pub use self::kind::{ErrorKind, NotReadyCause};
use crate::escaped::Escaped;
use crate::item::attribute::Item;
use crate::item::error::{BoxError, ItemError};
use crate::item::head::TaskHead;
use crate::item::translation::Translation;

/// The error of an operation.
///
/// [`kind`](Self::kind) says what happened, [`key`](Self::key) to which task, and [`task`](Self::task) has
/// the most recent known state of the task. [`source`](StdError::source) is the error of the SDK, of a
/// decoder, or of the body.
///
/// # Examples
///
/// ```
/// use tracker_core::{Error, ErrorKind};
///
/// fn explain(error: &Error) -> String {
///     match error.kind() {
///         ErrorKind::Locked { owner, until, .. } => format!("{owner:?} holds it until {until}"),
///         ErrorKind::AlreadySucceeded => "nothing to do".to_owned(),
///         _ => error.to_string(),
///     }
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    key: Option<String>,
    task: Option<TaskHead>,
    /// Why it happened: what the source says, as far as it helps.
    reason: Option<String>,
    source: Option<BoxError>,
    body: Option<BoxError>,
    /// The item that an effect of the user's was refused for.
    refused_item: Option<Item>,
    /// Whether the SDK had already sent the request before the try that failed.
    retried: bool,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            key: None,
            task: None,
            reason: None,
            source: None,
            body: None,
            refused_item: None,
            retried: false,
        }))
    }

    /// Sets the key, unless the error has a key already.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.0.key.get_or_insert_with(|| key.to_owned());
        self
    }

    /// Names the attribute as the table does.
    pub(crate) fn in_table(mut self, names: &Translation) -> Self {
        if let ErrorKind::Encode { attribute } | ErrorKind::Decode { attribute } = &mut self.0.kind {
            *attribute = names.shown(attribute);
        }
        self
    }

    pub(crate) fn with_task(mut self, task: TaskHead) -> Self {
        self.0.task = Some(task);
        self
    }

    /// Sets the task, if one was found.
    pub(crate) fn with_found(mut self, found: Option<TaskHead>) -> Self {
        self.0.task = found.or(self.0.task);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets the source, and takes its text and the texts of its causes into the message.
    pub(crate) fn because(mut self, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        self.0.reason = Some(chain_text(source.as_ref()));
        self.with_source(source)
    }

    /// Takes a text into the message.
    pub(crate) fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.0.reason = Some(reason.into());
        self
    }

    pub(crate) fn with_body_error(mut self, error: BoxError) -> Self {
        self.0.body = Some(error);
        self
    }

    /// Makes an earlier error the source, unless this error has one, and takes its item over.
    pub(crate) fn after(mut self, mut earlier: Self) -> Self {
        self.0.refused_item = earlier.0.refused_item.take();
        if self.0.source.is_none() {
            self.0.source = Some(earlier.into());
        }
        self
    }

    pub(crate) fn with_refused_item(mut self, item: Option<Item>) -> Self {
        self.0.refused_item = item;
        self
    }

    pub(crate) fn retried(mut self, retried: bool) -> Self {
        self.0.retried = retried;
        self
    }

    pub(crate) fn was_retried(&self) -> bool {
        self.0.retried
    }

    /// Returns the text of the kind, for a log. It has the key if `with_key` asks for it, and the reason if that quotes no data:
    /// why a request was not sent, or not answered.
    pub(crate) fn text_without_data(&self, with_key: bool) -> String {
        let Inner { kind, key, reason, .. } = &*self.0;
        let key = key.as_ref().filter(|_| with_key);
        let quotes_no_data = matches!(kind, ErrorKind::NotSent | ErrorKind::Unavailable);
        let reason = reason.as_ref().filter(|_| quotes_no_data);
        let mut shown = Self::new(kind.clone());
        shown.0.key = key.cloned();
        shown.0.reason = reason.cloned();
        shown.to_string()
    }

    /// Returns what happened and why, without the key and without what to do: for the history of the task.
    pub(crate) fn text_of_cause(&self) -> String {
        let text = self.0.kind.to_string();
        let happened = text.split_once("; ").map_or(&*text, |(happened, _)| happened);
        match &self.0.reason {
            Some(reason) => format!("{happened}: {reason}"),
            None => happened.to_owned(),
        }
    }

    /// Adds that the attempt is recorded as failed.
    pub(crate) fn noting_failure(mut self) -> Self {
        const RECORDED: &str = "the attempt is recorded as failed";
        self.0.reason = Some(match self.0.reason.take() {
            Some(reason) => format!("{reason}, and {RECORDED}"),
            None => RECORDED.to_owned(),
        });
        self
    }

    /// Returns a copy, whose source is the text of the sources.
    pub(crate) fn copied(&self) -> Self {
        let mut copy = Self::new(self.0.kind.clone());
        copy.0.key.clone_from(&self.0.key);
        copy.0.task.clone_from(&self.0.task);
        copy.0.reason.clone_from(&self.0.reason);
        copy.0.refused_item.clone_from(&self.0.refused_item);
        copy.0.source = self.source().map(|source| chain_text(source).into());
        copy
    }

    /// Returns what happened.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the key of the task to which it happened, if the error is about a task.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Returns the most recent known state of the task, if any.
    ///
    /// A refusal or a failed write has the task as it was found, and a recorded end has the task as that
    /// write left it. If neither was read, the error of an attempt has the task as it was started.
    #[must_use]
    pub fn task(&self) -> Option<&TaskHead> {
        self.0.task.as_ref()
    }

    /// Returns the item as the condition of an [effect](crate::Execution::on_success) has found it, if the effect was
    /// [refused](ErrorKind::EffectRefused), asks for the item with `ReturnValuesOnConditionCheckFailure::AllOld`, and there is an item.
    #[must_use]
    pub fn refused_item(&self) -> Option<&HashMap<String, AttributeValue>> {
        self.0.refused_item.as_ref()
    }

    /// Returns whether the operation was refused, because the task's state did not allow it.
    ///
    /// A refused operation has written nothing, with two exceptions:
    ///
    /// - A start may find an expired lease of a task that is out of attempts, or whose attempt was asked to end. It then
    ///   writes that the task is ignored, and returns the refusal [`Ignored`](ErrorKind::Ignored).
    /// - The first try of a start may arrive after a later try was refused. It fits if the holder has freed the task by
    ///   then, and the holder's clock is behind. The task is then held until that lease expires, which counts as a
    ///   failed attempt.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::NotFound
                | ErrorKind::Locked { .. }
                | ErrorKind::ClockBehind { .. }
                | ErrorKind::AlreadySucceeded
                | ErrorKind::Ignored
                | ErrorKind::NotReady { .. }
                | ErrorKind::NotDue { .. }
        )
    }

    /// Returns the error that the body of a [`run`](crate::Tracker::run) returned, or the first of its causes, that has
    /// the type `E`. So an error is found behind the context that `anyhow` adds, too. It is here also if the failure could
    /// not be recorded.
    #[must_use]
    pub fn body_error<E: StdError + 'static>(&self) -> Option<&E> {
        let body: &(dyn StdError + 'static) = self.0.body.as_deref()?;
        chain(body).find_map(<dyn StdError>::downcast_ref)
    }

    /// Returns the error that the body of a [`run`](crate::Tracker::run) returned, by value.
    ///
    /// # Errors
    ///
    /// Returns `self` if the body returned no error, or an error of another type. A cause is not returned by value: see
    /// [`body_error`](Self::body_error).
    pub fn into_body_error<E: StdError + 'static>(mut self) -> Result<E, Self> {
        match self.0.body.take().map(<dyn StdError + Send + Sync>::downcast::<E>) {
            Some(Ok(error)) => Ok(*error),
            Some(Err(other)) => {
                self.0.body = Some(other);
                Err(self)
            }
            None => Err(self),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { key, kind, reason, .. } = &*self.0;
        if let Some(key) = key {
            write!(f, "task `{}`: ", Escaped(key))?;
        }
        let Some(reason) = reason else { return kind.fmt(f) };
        // The text of a kind says what happened, and what to do after a semicolon. The reason belongs in between.
        match kind.to_string().split_once("; ") {
            Some((happened, advice)) => write!(f, "{happened}: {}; {advice}", Escaped(reason)),
            None => write!(f, "{kind}: {}", Escaped(reason)),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Error");
        // The message comes first, because a `main` that returns the error prints this text.
        shown.field("message", &self.to_string());
        shown.field("kind", &self.0.kind);
        if let Some(key) = &self.0.key {
            shown.field("key", key);
        }
        // The texts alone: the `Debug` of an SDK error has the whole response, with the data of an item.
        for (name, error) in [("source", &self.0.source), ("body_error", &self.0.body)] {
            if let Some(error) = error {
                shown.field(name, &chain_text(error.as_ref()));
            }
        }
        shown.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_ref().or(self.0.body.as_ref())?;
        Some(source.as_ref())
    }
}

impl From<ItemError> for Error {
    fn from(error: ItemError) -> Self {
        let (kind, key, source) = match error {
            ItemError::InvalidTaskId { reason, source } => {
                (ErrorKind::InvalidTaskId { reason }, None, source)
            }
            ItemError::Encode { attribute, source } => (ErrorKind::Encode { attribute }, None, source),
            ItemError::Decode { attribute, key, source } => (ErrorKind::Decode { attribute }, key, source),
        };
        let mut error = Self::new(kind);
        error.0.key = key;
        match source {
            Some(source) => error.because(source),
            None => error,
        }
    }
}

/// Returns an error and its causes.
pub(crate) fn chain<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    // A chain that leads back to itself has no end.
    std::iter::successors(Some(error), |&error| StdError::source(error)).take(LONGEST_CHAIN)
}

/// The most errors of a chain that are looked at.
const LONGEST_CHAIN: usize = 1000;

/// Returns the texts of an error and of its causes, without those that repeat the text before.
pub(crate) fn chain_text(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in chain(error) {
        let text = guarded_text(error);
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// Returns the text of an error. The `Display` of another's type may panic, which costs the text alone.
pub(crate) fn guarded_text(error: &(dyn StdError + 'static)) -> String {
    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
    text.unwrap_or_else(|_| {
        "an error whose text cannot be written, because its `Display` panicked".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_can_be_sent_to_any_thread() {
        fn can_be_sent<E: StdError + Send + Sync + 'static>() {}
        can_be_sent::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn display_names_the_key_and_the_reason() {
        let error = Error::new(ErrorKind::Decode { attribute: "data.pages".to_owned() })
            .because("invalid type")
            .with_key("extract____doc-1");
        assert_eq!(
            error.to_string(),
            "task `extract____doc-1`: `data.pages` cannot be read: invalid type; correct the stored item, or the type \
             that it is read into"
        );
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("invalid type"));
    }

    #[test]
    fn body_errors_are_returned_by_their_type() {
        let error =
            || Error::new(ErrorKind::BodyFailed { ignored: false }).with_body_error(Box::new(fmt::Error));
        assert_eq!(error().body_error::<fmt::Error>(), Some(&fmt::Error));
        assert_eq!(error().into_body_error::<fmt::Error>().unwrap(), fmt::Error);
        let kept = error().into_body_error::<std::io::Error>().unwrap_err();
        assert!(kept.body_error::<fmt::Error>().is_some());
        assert!(kept.source().is_some());
    }

    #[test]
    fn a_throttled_index_range_names_too_few_shards() {
        let reasons = vec!["IndexWriteKeyRangeThroughputExceeded".to_owned()];
        let text = ErrorKind::Throttled { reasons }.to_string();
        assert!(text.contains("too few shards"), "{text}");
    }
}
