//! Makes declarations of descriptions, for programs that do not have the types.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{Description, StatusDescription, StepDescription};
use crate::declare::spec::{MorePending, TrackerSpec, spec};
use crate::declare::status::{MOST_SHARDS, Role, StatusRow, StatusTable};

/// The most digits that a description can have. The derive has the same limit.
const MOST_DIGITS: u8 = 9;

/// The declarations of a description, by the names of its steps.
pub(crate) type Specs = BTreeMap<String, &'static TrackerSpec>;

/// Returns the declarations of a description, or why no program could have declared it.
///
/// They live as long as the program. The same description has the same declarations, so a program that reads a description
/// again and again does not grow.
pub(crate) fn interned(description: &Description) -> Result<Specs, String> {
    static INTERNED: LazyLock<Mutex<HashMap<String, Specs>>> = LazyLock::new(Mutex::default);
    check(description)?;
    let text = serde_json::to_string(description).map_err(|error| error.to_string())?;
    let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(specs) = interned.get(&text) {
        return Ok(specs.clone());
    }
    let mut specs = Specs::new();
    for name in description.steps.keys() {
        intern_step(description, name, &mut specs);
    }
    interned.insert(text, specs.clone());
    Ok(specs)
}

/// Adds the declaration of a step, after those of the steps before it. The check has found no circle.
fn intern_step(description: &Description, name: &str, specs: &mut Specs) -> Option<&'static TrackerSpec> {
    if let Some(spec) = specs.get(name) {
        return Some(spec);
    }
    let step = description.steps.get(name)?;
    let after = step.after.as_deref().and_then(|after| intern_step(description, after, specs));
    let table = table(&step.status_type, (step.code_pad, step.shard_pad), &step.statuses);
    let more_pending = step.more_pending.iter().map(|more| MorePending {
        table: self::table(
            &more.status_type,
            (more.code_pad, more.shard_pad),
            std::slice::from_ref(&more.status),
        ),
        code: more.status.code,
    });
    let more_pending: Vec<_> = more_pending.collect();
    let declared = TrackerSpec {
        sep: leaked(&description.sep),
        index: leaked(&description.index),
        wire: description.wire,
        takeover: step.takeover,
        more_pending: more_pending.leak(),
        after,
        ..spec(leaked(name), leaked(&description.use_case_id), table)
    };
    let declared: &'static TrackerSpec = Box::leak(Box::new(declared));
    specs.insert(name.to_owned(), declared);
    Some(declared)
}

fn table(
    type_name: &str,
    (code_pad, shard_pad): (u8, u8),
    statuses: &[StatusDescription],
) -> &'static StatusTable {
    let row = |status: &StatusDescription| StatusRow {
        code: status.code,
        name: leaked(&status.name),
        role: status.role,
        shards: status.shards,
    };
    let rows: Vec<_> = statuses.iter().map(row).collect();
    Box::leak(Box::new(StatusTable { type_name: leaked(type_name), rows: rows.leak(), code_pad, shard_pad }))
}

fn leaked(text: &str) -> &'static str {
    text.to_owned().leak()
}

/// Refuses what no derive would have accepted.
pub(crate) fn check(description: &Description) -> Result<(), String> {
    if description.v != super::VERSION {
        let (v, version) = (description.v, super::VERSION);
        return Err(format!("its form has the version {v}, and this program knows version {version}"));
    }
    if description.sep.is_empty() {
        return Err("its separator is empty".to_owned());
    }
    if description.sep.contains(|letter: char| letter.is_ascii_digit()) {
        // It stands next to numbers in the attribute `value`.
        return Err(format!("its separator `{}` has digits", description.sep));
    }
    if description.steps.is_empty() {
        return Err("it has no step".to_owned());
    }
    for (name, step) in &description.steps {
        check_step(step).map_err(|why| format!("step `{name}`: {why}"))?;
        let mut before = HashSet::from([name.as_str()]);
        let mut after = step.after.as_deref();
        while let Some(previous) = after {
            if !before.insert(previous) {
                return Err(format!("step `{name}` comes after itself"));
            }
            after = description.steps.get(previous).and_then(|step| step.after.as_deref());
        }
    }
    Ok(())
}

fn check_step(step: &StepDescription) -> Result<(), String> {
    let more = step.more_pending.iter();
    let digits =
        more.clone().map(|more| (more.code_pad, more.shard_pad)).chain([(step.code_pad, step.shard_pad)]);
    for (code, shard) in digits {
        if !(1..=MOST_DIGITS).contains(&code) || !(1..=MOST_DIGITS).contains(&shard) {
            return Err(format!("{code} and {shard} digits; 1 to {MOST_DIGITS} are possible"));
        }
    }
    let mut codes = HashSet::new();
    for status in &step.statuses {
        let StatusDescription { code, name, shards, most_shards, .. } = status;
        if !codes.insert(code) {
            return Err(format!("two statuses have the code {code}"));
        }
        if !(1..=MOST_SHARDS).contains(shards) || !(1..=MOST_SHARDS).contains(most_shards) {
            let shards = shards.max(most_shards);
            return Err(format!("`{name}` has {shards} shards; 1 to {MOST_SHARDS} are possible"));
        }
    }
    for role in [Role::Pending, Role::InProgress, Role::Failed, Role::Succeeded, Role::Ignored] {
        if !step.statuses.iter().any(|status| status.role == role) {
            return Err(format!("no status is {role}"));
        }
    }
    Ok(())
}
