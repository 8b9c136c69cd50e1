//! From what was written to what can be generated: all rules, each with the span of what breaks it.

mod backoff;
mod status;
mod tracker;
mod values;

pub(crate) use self::status::status;
#[cfg(test)]
pub(crate) use self::tracker::RESERVED;
pub(crate) use self::tracker::{mention, of_the_struct, tracker};
