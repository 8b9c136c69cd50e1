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
    /// Returns the failed condition. Otherwise the error is the caller's: `OutcomeUnknown` if the caller cannot know what is stored.
    pub(crate) fn condition(self) -> Result<FailedCondition, Error> {
        match self {
            Self::Condition(failed) => Ok(failed),
            Self::Unknown(error) => Err(Error::new(ErrorKind::OutcomeUnknown).with_source(error)),
            Self::Refused(error) => Err(error),
        }
    }
}
