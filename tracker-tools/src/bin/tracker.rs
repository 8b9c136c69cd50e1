//! The command line `tracker`. It reads the description of a use case from its table, or from a file.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracker_tools::main([])
}
