//! `describe`: prints or stores the description of the use case.

use tracker_core::Description;

use super::confirm::confirm;
use crate::exit::{Exit, Failure};
use crate::output::line;
use crate::session::Session;

pub(crate) async fn describe(session: &Session, publish: bool) -> Result<Exit, Failure> {
    let operator = &session.operator;
    if publish {
        let why = "nothing to publish: give a description with --describe, or publish from a program that declares the use case";
        let given = session.given.as_ref().ok_or_else(|| Failure::usage(why))?;
        if let Some(reason) = operator.why_read_only().first() {
            return Err(Failure::new(Exit::Refused, format!("nothing may be written: {reason}")));
        }
        let (table, use_case) = (operator.table(), &given.use_case_id);
        let steps: Vec<_> = given.steps.keys().map(String::as_str).collect();
        let steps = steps.join(", ");
        let mut what = format!("store the description of `{use_case}` ({steps}) in the table `{table}`");
        if operator.stored_description().is_some_and(|stored| stored.hash() != given.hash()) {
            what.push_str(
                ", in place of another; every program of the table must have been deployed with it",
            );
        }
        confirm(session, &what, "add --yes")?;
        operator.publish(given).await?;
        anstream::eprintln!(
            "the table `{}` describes `{}` now, hash {}",
            operator.table(),
            given.use_case_id,
            given.hash()
        );
        return Ok(Exit::Done);
    }
    // What a file can hold again: not with the shards of an operator.
    let Some(description) = session.given.as_ref().or(operator.stored_description()) else {
        let why =
            format!("the table `{}` keeps no description of `{}`", operator.table(), operator.use_case_id());
        return Err(Failure::new(Exit::NothingFound, why));
    };
    print(description)?;
    let hash = description.hash();
    match operator.stored_description().map(Description::hash) {
        None => anstream::eprintln!("hash {hash}; the table keeps no description"),
        Some(stored) if stored == hash => anstream::eprintln!("hash {hash}, the same as in the table"),
        Some(stored) => anstream::eprintln!("hash {hash}; the table has {stored}"),
    }
    Ok(Exit::Done)
}

/// Prints the description of this program, or of a file, although the table could not be read.
pub(crate) fn without_table(given: &Description, failure: &Failure) -> Result<Exit, Failure> {
    print(given)?;
    let why = crate::output::text::escaped(&failure.message);
    anstream::eprintln!("hash {}; it was not compared with that of the table: {why}", given.hash());
    Ok(Exit::Done)
}

/// Prints a description. A file can hold it, so it has no version of the output.
fn print(description: &Description) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(description).map_err(std::io::Error::other)?)
}
