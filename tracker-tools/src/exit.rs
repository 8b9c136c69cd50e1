//! The codes with which the process ends, and errors that choose one.

use std::fmt;
use std::process::ExitCode;

use tracker_core::{Error, ErrorKind};

/// The codes with which the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Error = 1,
    Usage = 2,
    NothingFound = 3,
    Refused = 4,
    SomeFailed = 5,
    /// `wait`: the task is ignored.
    Ignored = 6,
    /// `wait`: the time is up.
    TimeIsUp = 7,
    /// Ctrl-C or SIGTERM has ended an operation before its end.
    Interrupted = 130,
}

impl Exit {
    /// The codes of `check`, as Nagios has them.
    pub(crate) const WARNING: Self = Self::Error;
    pub(crate) const CRITICAL: Self = Self::Usage;
    pub(crate) const UNKNOWN: Self = Self::NothingFound;
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends: one line for people, and a code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NothingFound,
            ErrorKind::ReadOnly { .. } => Exit::Refused,
            ErrorKind::NotDescribed { .. }
            | ErrorKind::InvalidQuery { .. }
            | ErrorKind::InvalidConfig { .. }
            | ErrorKind::InvalidCursor { .. }
            | ErrorKind::InvalidTaskId { .. } => Exit::Usage,
            _ if error.is_refusal() => Exit::Refused,
            _ => Exit::Error,
        };
        Self { exit, message: error_line(error) }
    }
}

/// Returns an error and its causes in one line.
pub(crate) fn error_line(error: &Error) -> String {
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        // A cause may be part of the text already.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // Whoever reads the data has enough.
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe { Exit::Done } else { Exit::Error };
        Self::new(exit, error.to_string())
    }
}
