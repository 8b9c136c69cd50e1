//! Checks between declarations. A macro sees one type at a time, so constants make these checks at compile
//! time.

use crate::declare::spec::TrackerSpec;
use crate::declare::status::{Role, StatusRow, StatusTable};

/// Refuses a value of `more_pending_status` that is a status of this step or in progress, or whose code is
/// also the code of a status of this step or of an earlier value of the list.
///
/// # Panics
///
/// At compile time. The message names the statuses.
#[track_caller]
pub const fn check_more_pending(spec: &TrackerSpec, nth: usize) {
    let given = spec.more_pending[nth];
    let Some(row) = given.table.row(given.code) else { return };
    if str_eq(given.table.type_name, spec.status.type_name) {
        status(given.table, row).str(" is a status of this step itself: remove it").panic();
    }
    if row.role as u8 == Role::InProgress as u8 {
        status(given.table, row)
            .str(" is in progress, so a worker of another step holds the task: write a status in which that step ends")
            .panic();
    }
    if let Some(own) = spec.status.row(given.code) {
        collision(spec.status, own, given.table, row, "write another code for one of them");
    }
    let mut other = 0;
    while other < nth {
        let earlier = spec.more_pending[other];
        if let (true, Some(first)) = (earlier.code == given.code, earlier.table.row(earlier.code)) {
            collision(given.table, row, earlier.table, first, "remove one of them");
        }
        other += 1;
    }
}

/// Refuses a previous step that does one of these:
///
/// - It does not share its items with this step.
/// - It lets DynamoDB delete a succeeded task before this step has worked on the task.
/// - It has a code of this step or of another enum in its `more_pending_status`, or comes after a step that has
///   such a code.
///
/// # Panics
///
/// At compile time. The message names both types, and the values that differ.
#[track_caller]
pub const fn check_after(spec: &TrackerSpec) {
    let Some(previous) = spec.after else { return };
    // A declaration that the derive has refused is empty here, and was reported already.
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
            .str("` does not, but the steps of a pipeline share their items: write `table` on both or on neither")
            .panic();
    }
    same(spec, previous, "index", spec.index, previous.index);
    same_layout(spec, previous);
    same_pad(spec, previous, "status_zero_pad", spec.status.code_pad, previous.status.code_pad);
    same_pad(spec, previous, "status_shard_zero_pad", spec.status.shard_pad, previous.status.shard_pad);
    // The previous step makes this check for the steps before itself.
    if previous.retain_seconds.is_some() {
        Text::new()
            .str("`")
            .str(previous.type_name)
            .str("` declares `retain_seconds`, so its succeeded tasks would be deleted while they wait for `")
            .str(spec.type_name)
            .str("`: write `retain_seconds` on the last step only")
            .panic();
    }
    let mut step = Some(previous);
    while let Some(earlier) = step {
        let mut nth = 0;
        while nth < spec.status.rows.len() {
            let own = &spec.status.rows[nth];
            if let Some(theirs) = earlier.status.row(own.code) {
                let help = "write a code that no earlier step uses";
                collision(spec.status, own, earlier.status, theirs, help);
            }
            nth += 1;
        }
        let mut nth = 0;
        while nth < spec.more_pending.len() {
            let given = spec.more_pending[nth];
            let same_enum = str_eq(given.table.type_name, earlier.status.type_name);
            if let (false, Some(row), Some(theirs)) =
                (same_enum, given.table.row(given.code), earlier.status.row(given.code))
            {
                collision(given.table, row, earlier.status, theirs, "write another code for one of them");
            }
            nth += 1;
        }
        step = earlier.after;
    }
}

#[track_caller]
const fn collision(
    table: &StatusTable,
    row: &StatusRow,
    other_table: &StatusTable,
    other_row: &StatusRow,
    help: &str,
) {
    status(table, row)
        .str(" and ")
        .str(status(other_table, other_row).as_str())
        .str(" both have the code ")
        .num(row.code)
        .str(": ")
        .str(help)
        .panic();
}

/// Returns the name of a status, as code writes it.
const fn status(table: &StatusTable, row: &StatusRow) -> Text {
    Text::new().str("`").str(table.type_name).str("::").str(row.name).str("`")
}

#[track_caller]
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

/// Refuses another layout. The derive sorts the names.
#[track_caller]
const fn same_layout(spec: &TrackerSpec, previous: &TrackerSpec) {
    let (own, other) = (&spec.layout, &previous.layout);
    same(spec, previous, "attribute_prefix", own.prefix, other.prefix);
    let mut nth = 0;
    while nth < own.names.len() && nth < other.names.len() {
        let ((attribute, name), (other_attribute, other_name)) = (own.names[nth], other.names[nth]);
        if !str_eq(attribute, other_attribute) {
            break;
        }
        same(spec, previous, attribute, name, other_name);
        nth += 1;
    }
    let is_same_sort_key = match (own.sort_key, other.sort_key) {
        (None, None) => true,
        (Some((name, None)), Some((other, None))) => str_eq(name, other),
        (Some((name, Some(constant))), Some((other_name, Some(other)))) => {
            str_eq(name, other_name) && str_eq(constant, other)
        }
        _ => false,
    };
    let differs = if nth < own.names.len() || nth < other.names.len() {
        "names"
    } else if !is_same_sort_key {
        "sort_key"
    } else {
        return;
    };
    Text::new()
        .str("`")
        .str(differs)
        .str("` differs between `")
        .str(spec.type_name)
        .str("` and `")
        .str(previous.type_name)
        .str("`, but the steps of a pipeline share their items: write the same on both")
        .panic();
}

#[track_caller]
const fn same_pad(spec: &TrackerSpec, previous: &TrackerSpec, what: &str, own: u8, other: u8) {
    if own != other {
        differs(spec, previous, what, &Text::new().num(own as u32), &Text::new().num(other as u32));
    }
}

#[track_caller]
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
        .str("`, but the steps of a pipeline share their items: write the same value on both")
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

/// A message that is built at compile time, when `format!` is not available. A text that does not fit is cut
/// off.
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
            // The text was cut off in the middle of a character.
            Err(_) => "the declarations of these two steps do not fit together",
        }
    }

    /// Panics with the message. All callers have `track_caller`, so that the compiler shows only the
    /// declaration.
    #[track_caller]
    const fn panic(&self) -> ! {
        panic!("{}", self.as_str())
    }
}
