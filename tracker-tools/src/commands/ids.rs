//! Task ids from the arguments, or from standard input.

use std::io::{self, BufRead as _};

use crate::exit::Failure;

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
        if !line.is_empty() {
            all.push(line);
        }
    }
    Ok(all)
}
