//! What somebody does by hand: who does it, why, and to which tasks.

use crate::declare::status::Role;
use crate::error::{Error, ErrorKind, NotReadyCause};
use crate::item::head::TaskHead;
use crate::item::history::Note;
use crate::protocol::classify;
use crate::time::Timestamp;

/// What somebody does by hand. Its default is a call of a tracker, which names nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByHand {
    /// Who does it, and why.
    pub(crate) note: Note,
    /// What the index has shown of the task.
    pub(crate) expected: Option<InIndex>,
    /// Whether nothing is written. All that is decided before the write is decided as without this.
    pub(crate) dry_run: bool,
}

/// What the index has shown of a task. It may be stale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InIndex {
    pub(crate) status: u32,
    pub(crate) update_time: Timestamp,
}

impl ByHand {
    /// Refuses a task that has moved on since the index has shown it.
    pub(crate) fn check(&self, seen: &TaskHead) -> Result<(), Error> {
        let has_moved =
            |shown: InIndex| (seen.status_code, seen.update_time) != (shown.status, shown.update_time);
        if !self.expected.is_some_and(has_moved) {
            return Ok(());
        }
        Err(moved_on(seen))
    }
}

/// Returns the refusal of a task that has moved on.
pub(crate) fn moved_on(seen: &TaskHead) -> Error {
    let status = seen.status_name().to_owned();
    Error::new(ErrorKind::NotReady { status, cause: NotReadyCause::MovedOn }).with_task(seen.clone())
}

/// Returns why something cannot be done by hand to a free task, which would be a refusal for `cause` if it is ready.
pub(super) fn refusal(seen: &TaskHead, cause: NotReadyCause) -> ErrorKind {
    match seen.role {
        Some(Role::Succeeded) => ErrorKind::AlreadySucceeded,
        Some(Role::Ignored) => ErrorKind::Ignored,
        Some(role) if role.is_ready() && !seen.is_locked() => {
            ErrorKind::NotReady { status: seen.status_name().to_owned(), cause }
        }
        _ => classify::not_ready(seen),
    }
}
