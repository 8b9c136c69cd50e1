//! Checks the item against all rules and turns it into the model. Each mistake is reported on the tokens that break a rule.

mod backoff;
mod layout;
mod serde;
mod status;
mod tracker;
mod values;

#[cfg(test)]
pub(crate) use self::layout::OWN;
pub(crate) use self::status::status;
pub(crate) use self::tracker::{first_mention, names_of_the_struct, tracker};
