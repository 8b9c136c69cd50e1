//! Task ids from the arguments, or from standard input.

use std::io::{self, BufRead as _};

use crate::exit::{Exit, Failure};

/// Returns the ids; `-` stands for the lines of standard input.
pub(crate) fn read(ids: Vec<String>) -> Result<Vec<String>, Failure> {
    if ids != ["-"] {
        if ids.iter().any(|id| id == "-") {
            return Err(Failure::usage("name ids, or - for standard input, and not both"));
        }
        return Ok(ids);
    }
    let mut all = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            all.push(line);
        }
    }
    if all.is_empty() {
        return Err(Failure::new(Exit::NothingFound, "there are no ids on standard input"));
    }
    Ok(all)
}
