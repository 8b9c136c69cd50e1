//! Says what will be done, and asks.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Says what will be done, and asks whether to go on, unless the arguments have `--yes`.
pub(crate) fn confirm(session: &Session, what: &str) -> Result<(), Failure> {
    anstream::eprintln!("{what}");
    if session.options.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nobody can be asked without a terminal: add --yes, or try --dry-run"));
    }
    anstream::eprint!("Go on? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "nothing was changed"))
}
