//! The codes with which the process ends, and errors that choose one.

use std::fmt;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use tracker_core::{Error, ErrorKind, Escaped};

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

    /// Returns the failure of a command about one task.
    pub(crate) fn of_task(error: &Error, task_id: &str) -> Self {
        Self { message: task_error_line(error, task_id), ..Self::from(error) }
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

/// Returns an error about a task in one line, with the id instead of the key, and advice for an operator.
pub(crate) fn task_error_line(error: &Error, task_id: &str) -> String {
    let text = match error.kind() {
        ErrorKind::NotFound => "there is no such task; check the id and the use case".to_owned(),
        ErrorKind::Locked { owner, until, .. } => locked(owner.as_deref(), *until, Utc::now()),
        _ => {
            let line = error_line(error);
            let Some(key) = error.key() else { return line };
            return line.replacen(&Escaped(key).to_string(), &Escaped(task_id).to_string(), 1);
        }
    };
    format!("task `{}`: {text}", Escaped(task_id))
}

/// What the keys of the tracker's own items begin with. They are no tasks.
const OWN: &str = "__tracker__";

/// Returns an error and its causes in one line.
pub(crate) fn error_line(error: &Error) -> String {
    let line = tracker_text::error_line(error);
    match error.key().filter(|key| key.starts_with(OWN)) {
        Some(key) => line.replacen(&format!("task `{key}`: "), "", 1),
        None => line,
    }
}

/// Returns why a task stays as it is that a worker holds.
fn locked(owner: Option<&str>, until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let owner = Escaped(owner.unwrap_or("an unknown worker"));
    if until <= now {
        return format!(
            "the lease of {owner} has expired; make sure that the worker is gone, then free the task: `tracker release`"
        );
    }
    format!(
        "held by {owner} until {}, unless the lease is renewed; wait for that, or ask the attempt to end: `tracker cancel`",
        until.to_rfc3339()
    )
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // Whoever reads the data has enough.
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe { Exit::Done } else { Exit::Error };
        Self::new(exit, error.to_string())
    }
}
