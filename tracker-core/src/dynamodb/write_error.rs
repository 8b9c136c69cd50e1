//! Why a conditional write did not succeed.

use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;

/// Why a conditional write did not succeed.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The condition failed, so this request wrote nothing.
    Condition(FailedCondition),
    /// The write may have been applied, or may be applied later.
    Unknown(Error),
    /// The write was not applied.
    Refused(Error),
}

/// What DynamoDB returned with a failed condition.
#[derive(Debug)]
pub(crate) struct FailedCondition {
    /// The item, if there is one.
    pub(crate) image: Option<Item>,
    /// Whether the SDK has sent the request only once.
    pub(crate) is_first_try: bool,
}

impl WriteError {
    /// Returns the error of a write after which the caller cannot know what is stored.
    pub(crate) fn unknown_outcome(error: Error) -> Error {
        Error::new(ErrorKind::OutcomeUnknown).with_source(error)
    }
}
