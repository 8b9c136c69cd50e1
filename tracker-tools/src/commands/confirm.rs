//! Says what will be done, and asks.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::exit::{Exit, Failure};
use crate::output::text::escaped;
use crate::session::Session;

/// Says what will be done, and asks whether to go on, unless the arguments have `--yes`.
pub(crate) fn confirm(session: &Session, what: &str, without_terminal: &str) -> Result<(), Failure> {
    anstream::eprintln!("{}", escaped(what));
    if session.options.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("nobody can be asked without a terminal: {without_terminal}")));
    }
    anstream::eprint!("Go on? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "nothing was changed"))
}
