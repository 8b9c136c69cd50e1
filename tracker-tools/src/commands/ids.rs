//! Task ids from the arguments, or from standard input.

use std::io::{self, BufRead as _};

use crate::exit::Failure;

/// Returns the ids; `-` stands for the lines of standard input.
pub(crate) fn read(ids: Vec<String>) -> Result<Vec<String>, Failure> {
    if ids != ["-"] {
        return Ok(ids);
    }
    let mut all = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let id = line.trim_end_matches('\r');
        if !id.is_empty() {
            all.push(id.to_owned());
        }
    }
    Ok(all)
}
