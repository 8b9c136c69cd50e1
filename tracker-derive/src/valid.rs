//! Checks the item against all rules and turns it into the model. Each mistake is reported on the tokens that break a rule.

mod backoff;
mod serde;
mod status;
mod tracker;
mod values;

pub(crate) use self::status::status;
#[cfg(test)]
pub(crate) use self::tracker::RESERVED;
pub(crate) use self::tracker::{first_mention, names_of_the_struct, tracker};
