//! What `#[derive(StatusTracker)]` knows at compile time, and the checks across types that only constants can make.

use crate::status::{Role, StatusRow, StatusTable, TrackerStatus};
use crate::tracker::StatusTracker;

/// In which form `data` and `errors` of a new item are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// As DynamoDB maps.
    Native,
    /// As JSON text, which is what Python's `pynamodb_mate` reads and writes.
    Pynamodb,
}

/// Whether a worker may take over a task whose holder let its lease expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Takeover {
    /// Yes: it counts as a failed attempt of the holder that was lost.
    Expired,
    /// No: an expired task stays as it is, and a start of it is refused as locked.
    Never,
}

/// The declaration of a tracker, as the derive emits it.
#[derive(Debug, Clone, Copy)]
pub struct TrackerSpec {
    /// The struct, for messages.
    pub type_name: &'static str,
    /// What stands before the separator in every key.
    pub use_case_id: &'static str,
    /// Its statuses.
    pub status: &'static StatusTable,
    /// What separates the parts of `key` and `value`.
    pub sep: &'static str,
    /// The table, where one is declared.
    pub table: Option<&'static str>,
    /// The index on `value` and `update_time`.
    pub index: &'static str,
    /// After how many failed attempts a task is given up.
    pub max_retry: u32,
    /// How long a lease lasts unless it is renewed.
    pub lock_expire_seconds: u32,
    /// How many causes of an error are recorded.
    pub traceback_stack_limit: u32,
    /// How many failed attempts an item's history holds.
    pub history_limit: u32,
    /// Whether an expired lease may be taken over.
    pub takeover: Takeover,
    /// How `data` and `errors` are written.
    pub wire: Wire,
    /// Statuses of other enums in which a task waits for this step.
    pub more_pending: &'static [MorePending],
    /// The previous step.
    pub after: Option<&'static TrackerSpec>,
}

/// A status of another enum in which a task waits for this step.
#[derive(Debug, Clone, Copy)]
pub struct MorePending {
    /// The enum of the status.
    pub table: &'static StatusTable,
    /// Its code.
    pub code: u32,
}

/// A declaration with every default, which are those of `pynamodb_mate` where it has one.
#[must_use]
pub const fn spec(
    type_name: &'static str,
    use_case_id: &'static str,
    status: &'static StatusTable,
) -> TrackerSpec {
    TrackerSpec {
        type_name,
        use_case_id,
        status,
        sep: "____",
        table: None,
        index: "status_and_update_time-index",
        max_retry: 3,
        lock_expire_seconds: 300,
        traceback_stack_limit: 10,
        history_limit: 10,
        takeover: Takeover::Expired,
        wire: Wire::Native,
        more_pending: &[],
        after: None,
    }
}

/// A value of `more_pending_status`; `_status` is there to be of a status type.
#[must_use]
pub const fn more_pending<S: TrackerStatus>(_status: &S, code: u32) -> MorePending {
    MorePending { table: S::__TABLE, code }
}

/// The declaration of the previous step.
#[must_use]
pub const fn after<P: StatusTracker>() -> &'static TrackerSpec {
    &P::__SPEC
}

/// Refuses a value of `more_pending_status` whose code this step's own enum uses, or that is given twice.
///
/// # Panics
///
/// At compile time, with both statuses in the message.
pub const fn check_more_pending(spec: &TrackerSpec, nth: usize) {
    let given = spec.more_pending[nth];
    if let Some(own) = row_of(spec.status, given.code) {
        collision(spec.status, own, given.table, given.code, "give one of them another code");
    }
    let mut other = 0;
    while other < nth {
        let earlier = spec.more_pending[other];
        if earlier.code == given.code {
            Text::new()
                .str("`more_pending_status` has the code ")
                .num(given.code)
                .str(" twice: leave one of the two out")
                .panic();
        }
        other += 1;
    }
}

/// Refuses a previous step that does not share its item with this one, or whose codes, or those of a step
/// before it, meet this step's.
///
/// # Panics
///
/// At compile time, with both types and both values in the message.
pub const fn check_after(spec: &TrackerSpec) {
    let Some(previous) = spec.after else { return };
    // A declaration that the derive has refused stands here empty, and was reported already.
    if spec.status.rows.is_empty() || previous.status.rows.is_empty() || previous.use_case_id.is_empty() {
        return;
    }
    same(spec, previous, "use_case_id", spec.use_case_id, previous.use_case_id);
    same(spec, previous, "sep", spec.sep, previous.sep);
    if let (Some(own), Some(other)) = (spec.table, previous.table) {
        same(spec, previous, "table", own, other);
    } else if spec.table.is_some() != previous.table.is_some() {
        let (with, without) = if spec.table.is_some() { (spec, previous) } else { (previous, spec) };
        Text::new()
            .str("`")
            .str(with.type_name)
            .str("` declares a `table` and `")
            .str(without.type_name)
            .str("` none, but steps of one pipeline share their items: write it on both or on neither")
            .panic();
    }
    same(spec, previous, "index", spec.index, previous.index);
    same_pad(spec, previous, "status_zero_pad", spec.status.code_pad, previous.status.code_pad);
    same_pad(spec, previous, "status_shard_zero_pad", spec.status.shard_pad, previous.status.shard_pad);
    let mut step = Some(previous);
    while let Some(earlier) = step {
        let mut nth = 0;
        while nth < spec.status.rows.len() {
            let own = &spec.status.rows[nth];
            if row_of(earlier.status, own.code).is_some() {
                collision(
                    spec.status,
                    own,
                    earlier.status,
                    own.code,
                    "give this step codes that no earlier step uses",
                );
            }
            nth += 1;
        }
        let mut nth = 0;
        while nth < spec.more_pending.len() {
            let given = spec.more_pending[nth];
            let same_enum = str_eq(given.table.type_name, earlier.status.type_name);
            if let (Some(row), false) = (row_of(given.table, given.code), same_enum)
                && row_of(earlier.status, given.code).is_some()
            {
                let help = "give one of them another code";
                collision(given.table, row, earlier.status, given.code, help);
            }
            nth += 1;
        }
        step = earlier.after;
    }
}

const fn row_of(table: &StatusTable, code: u32) -> Option<&'static StatusRow> {
    let mut nth = 0;
    while nth < table.rows.len() {
        if table.rows[nth].code == code {
            return Some(&table.rows[nth]);
        }
        nth += 1;
    }
    None
}

const fn collision(own: &StatusTable, row: &StatusRow, other: &StatusTable, code: u32, help: &str) {
    let name = match row_of(other, code) {
        Some(row) => row.name,
        None => "?",
    };
    Text::new()
        .str("`")
        .str(own.type_name)
        .str("::")
        .str(row.name)
        .str("` and `")
        .str(other.type_name)
        .str("::")
        .str(name)
        .str("` both have the code ")
        .num(code)
        .str(": ")
        .str(help)
        .panic();
}

const fn same(spec: &TrackerSpec, previous: &TrackerSpec, what: &str, own: &str, other: &str) {
    if !str_eq(own, other) {
        differs(
            spec,
            previous,
            what,
            &Text::new().str("\"").str(own).str("\""),
            &Text::new().str("\"").str(other).str("\""),
        );
    }
}

const fn same_pad(spec: &TrackerSpec, previous: &TrackerSpec, what: &str, own: u8, other: u8) {
    if own != other {
        differs(spec, previous, what, &Text::new().num(own as u32), &Text::new().num(other as u32));
    }
}

const fn differs(spec: &TrackerSpec, previous: &TrackerSpec, what: &str, own: &Text, other: &Text) {
    Text::new()
        .str("`")
        .str(what)
        .str("` is ")
        .str(own.as_str())
        .str(" for `")
        .str(spec.type_name)
        .str("` and ")
        .str(other.as_str())
        .str(" for `")
        .str(previous.type_name)
        .str("`, but steps of one pipeline share their items: make the two the same")
        .panic();
}

const fn str_eq(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// A message put together at compile time, where `format!` is not to be had. What does not fit is cut off.
#[derive(Clone, Copy)]
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }

    const fn str(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
        self
    }

    const fn num(self, number: u32) -> Self {
        let text = if number >= 10 { self.num(number / 10) } else { self };
        let digit = [b'0' + (number % 10) as u8];
        match str::from_utf8(&digit) {
            Ok(digit) => text.str(digit),
            Err(_) => text,
        }
    }

    const fn as_str(&self) -> &str {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            // Cut off in the middle of a character.
            Err(_) => "the declarations of these two steps do not fit together",
        }
    }

    const fn panic(&self) -> ! {
        panic!("{}", self.as_str())
    }
}

/// The roles in which a step finds a task that it may start, beside those of other enums.
pub(crate) fn ready_rows(spec: &TrackerSpec) -> impl Iterator<Item = &'static StatusRow> + use<> {
    let own = spec.status.rows.iter().filter(|row| row.role.is_ready());
    let others = spec.more_pending.iter().filter_map(|other| other.table.row(other.code));
    let previous = spec.after.and_then(|previous| previous.status.of_role(Role::Succeeded));
    own.chain(others).chain(previous)
}
