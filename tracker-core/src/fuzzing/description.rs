//! Garbage descriptions of a use case: the properties of reading, comparing, joining and using them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::described;
use super::source::Source;
use crate::config::TrackerConfig;
use crate::declare::description::compare::{Comparison, Join, compare, for_operator, joined, lowered};
use crate::declare::description::intern::{self, interned};
use crate::declare::description::{Description, StatusDescription, StepDescription};
use crate::declare::spec::Wire;
use crate::declare::status::Role;
use crate::error::ErrorKind;
use crate::item::use_case::{Status, UseCase};

/// How many descriptions a process interns, because their declarations live as long as the process.
const MOST_INTERNED: usize = 2000;

/// Checks two descriptions of a use case: the one that a table keeps, and the one of a program.
pub(super) fn check(source: &mut Source<'_>) {
    let (stored, given) = (read(&described::text(source)), read(&described::text(source)));
    let (Some(stored), Some(given)) = (stored, given) else { return };
    let steps: Vec<_> = stored.steps.keys().chain(given.steps.keys()).map(String::as_str).collect();
    let step = steps.get(source.below(steps.len() + 1)).copied().unwrap_or("Unknown");
    let read_shards = [1, 3, 1000][source.below(3)];
    let join = if source.flag() { Join::Least } else { Join::Replace };
    check_comparison(&stored, &given, step, read_shards);
    check_lowered(&stored, &given, step, read_shards, &lowered(&stored, &given, step, read_shards));
    let after = joined(&stored, &given, step, join);
    if is_valid(&stored) && is_valid(&given) {
        check_joined(&stored, &given, step, &after);
        if stored.steps.contains_key(step) {
            assert_eq!(joined(&after, &given, step, join), after, "a second join changes nothing");
        }
    }
    check_operator(None, &given);
    check_operator(Some(&stored), &given);
    check_interned(&for_operator(Some(&stored), &given).0);
}

/// Reads a description, and checks that it can be written and read again. Returns none for other text.
fn read(text: &str) -> Option<Description> {
    let description: Description = match serde_json::from_str(text) {
        Ok(description) => description,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let written = serde_json::to_string(&description).expect("a description can be written");
    let again: Description = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, description);
    assert_eq!(serde_json::to_string(&again).expect("a description can be written"), written);
    let hash = description.hash();
    assert!(hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
    let elsewhere =
        Description { table: None, index: String::new(), wire: Wire::Native, ..description.clone() };
    assert_eq!(elsewhere.hash(), hash, "no write depends on the table, the index and the form");
    let other = Description { sep: format!("{}-", description.sep), ..description.clone() };
    assert_ne!(other.hash(), hash, "a write depends on the separator");
    Some(description)
}

fn is_valid(description: &Description) -> bool {
    intern::check(description).is_ok()
}

/// Returns whether a description can be used, and its steps do not contradict each other.
fn agrees(description: &Description) -> bool {
    let meaning = |role: Role| if role.is_ready() { Role::Pending } else { role };
    let agree = |a: &StepDescription, b: &StepDescription| {
        let is_same = |was: &StatusDescription| {
            b.status(was.code).is_none_or(|is| meaning(is.role) == meaning(was.role))
        };
        (a.code_pad, a.shard_pad) == (b.code_pad, b.shard_pad) && a.statuses.iter().all(is_same)
    };
    let mut steps = description.steps.values();
    is_valid(description) && steps.all(|a| description.steps.values().all(|b| agree(a, b)))
}

/// Checks that a description differs from no equal one, and that a warning names each status with more shards than are read.
fn check_comparison(stored: &Description, given: &Description, step: &str, read_shards: u32) {
    let found = compare(stored, given, step, read_shards);
    assert!(found.differences.iter().chain(&found.warnings).all(|line| !line.is_empty()));
    if agrees(stored) {
        let Comparison { differences, warnings } = compare(stored, stored, step, read_shards);
        assert!(differences.is_empty(), "{differences:?}");
        let statuses = stored.steps.get(step).into_iter().flat_map(|step| &step.statuses);
        let hidden = statuses.filter(|status| status.shards.max(read_shards) < status.most_shards);
        assert_eq!(warnings.len(), hidden.count(), "{warnings:?}");
    }
}

/// Checks that a join forgets no step, no status and no shard.
fn check_joined(stored: &Description, given: &Description, step: &str, after: &Description) {
    let of_table = |of: &Description| (of.v, of.use_case_id.clone(), of.sep.clone(), of.table.clone());
    assert_eq!(of_table(after), of_table(stored));
    let of_program = |of: &Description| (of.index.clone(), of.layout.clone(), of.wire);
    assert_eq!(of_program(after), of_program(given));
    for name in given.steps.keys() {
        assert!(after.steps.contains_key(name), "the join has forgotten the step `{name}`");
    }
    for (name, was) in &stored.steps {
        for StatusDescription { code, most_shards, .. } in &was.statuses {
            let is = after.steps.get(name).and_then(|step| step.status(*code));
            let is_known = is.is_some_and(|is| is.most_shards >= *most_shards);
            assert!(is_known, "the join has forgotten the code {code} of `{name}`, or some of its shards");
        }
    }
    let own = given.steps.get(step).into_iter().flat_map(|own| &own.statuses);
    for StatusDescription { code, name, role, .. } in own {
        let is = after.steps[step].status(*code).map(|is| (&is.name, is.role));
        assert_eq!(is, Some((name, *role)), "the program knows its own step best");
    }
    // The programs may disagree on which step comes first.
    let refusal = intern::check(after).err();
    assert!(refusal.as_ref().is_none_or(|why| why.ends_with("comes after itself")), "{refusal:?}");
}

/// Checks that a lowered description has fewer shards, so that a program sees all of them, and no other change.
fn check_lowered(
    stored: &Description,
    given: &Description,
    step: &str,
    read_shards: u32,
    after: &Description,
) {
    let mut restored = after.clone();
    let own = given.steps.get(step);
    for (name, was) in &stored.steps {
        for (nth, was) in was.statuses.iter().enumerate() {
            let is = status_of(&mut restored, name, nth);
            let reads = own.filter(|_| name == step).and_then(|own| own.status(was.code));
            let most = reads.map_or(was.shards, |own| was.shards.min(own.shards.max(read_shards)));
            assert_eq!(is.shards, most, "{was:?}");
            is.shards = was.shards;
        }
    }
    assert_eq!(&restored, stored, "only the shards are lowered");
}

/// Checks that an operator works with the description that was given, on shards that every program of the table reads.
fn check_operator(stored: Option<&Description>, given: &Description) {
    let (effective, reasons) = for_operator(stored, given);
    assert!(reasons.iter().all(|reason| !reason.is_empty()));
    assert!(!stored.into_iter().chain([given]).all(is_valid) || is_valid(&effective), "{effective:?}");
    let mut restored = effective;
    for (name, is) in &given.steps {
        let was = stored.and_then(|stored| stored.steps.get(name));
        for (nth, own) in is.statuses.iter().enumerate() {
            let described = was.and_then(|was| was.status(own.code));
            let is = status_of(&mut restored, name, nth);
            assert!(is.shards <= described.map_or(1, |was| was.shards), "{is:?}");
            let most = described.map_or(0, |was| was.most_shards).max(own.most_shards);
            assert_eq!(is.most_shards, most, "{is:?}");
            (is.shards, is.most_shards) = (own.shards, own.most_shards);
        }
    }
    assert_eq!(&restored, given, "only the shards are the table's");
    if agrees(given) {
        assert_eq!(for_operator(Some(given), given), (given.clone(), Vec::new()));
    }
}

/// Returns the nth status of a step.
fn status_of<'d>(description: &'d mut Description, step: &str, nth: usize) -> &'d mut StatusDescription {
    let statuses = description.steps.get_mut(step).map(|step| &mut step.statuses);
    statuses.and_then(|statuses| statuses.get_mut(nth)).expect("the same steps and statuses")
}

/// Checks that a description is refused, or has declarations that say the same.
fn check_interned(description: &Description) {
    static INTERNED: AtomicUsize = AtomicUsize::new(0);
    if let Err(why) = intern::check(description) {
        assert_eq!(interned(description).err(), Some(why));
        return;
    }
    if INTERNED.fetch_add(1, Ordering::Relaxed) >= MOST_INTERNED {
        return;
    }
    let specs = interned(description).expect("a valid description");
    let again = interned(description).expect("a valid description");
    assert_eq!(specs.len(), description.steps.len());
    for (name, step) in &description.steps {
        let spec = specs[name];
        assert!(std::ptr::eq(spec, again[name]), "the same description has the same declarations");
        let after = step.after.as_deref().filter(|after| description.steps.contains_key(*after));
        assert_eq!(spec.after.map(|after| after.type_name), after);

        let config = TrackerConfig::described(description, step, spec, "documents");
        if let Err(error) = config.validate(&description.sep) {
            assert!(matches!(error.kind(), ErrorKind::InvalidConfig { .. }), "{error:?}");
        }
        let described = config.describe(spec);
        let of_step = |of: &StepDescription| {
            let times = (of.lease_ms, of.max_clock_skew_ms, of.retain_seconds, of.retain_ignored_seconds);
            (times, of.max_retry, of.max_snoozes, of.history_limit, of.takeover, statuses_of(of))
        };
        assert_eq!(of_step(&described.steps[name]), of_step(step));

        let use_case = UseCase::new(spec, description.use_case_id.clone());
        for row in spec.status.rows {
            let partitions = use_case.partitions(Status { table: spec.status, row }, 1);
            assert_eq!(partitions.len(), row.shards as usize);
            for (shard, value) in (1..).zip(&partitions) {
                assert_eq!(use_case.shard_of_value(value), Some(shard), "{value:?}");
            }
        }
    }
}

/// Returns the statuses of a step in the order of their codes.
fn statuses_of(step: &StepDescription) -> Vec<(u32, String, Role, u32)> {
    let of = |status: &StatusDescription| (status.code, status.name.clone(), status.role, status.shards);
    let mut statuses: Vec<_> = step.statuses.iter().map(of).collect();
    statuses.sort_unstable_by_key(|(code, ..)| *code);
    statuses
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fuzzing::sample;
    use crate::fuzzing::source::random_bytes;

    #[test]
    fn garbage_has_descriptions_that_are_used_refused_and_unreadable() {
        let (mut unreadable, mut refused, mut contradicting, mut used) = (0, 0, 0, 0);
        for nth in 0..1000 {
            match read(&described::text(&mut Source::new(&random_bytes(nth)))) {
                None => unreadable += 1,
                Some(description) if !is_valid(&description) => refused += 1,
                Some(description) if !agrees(&description) => contradicting += 1,
                Some(_) => used += 1,
            }
        }
        let counts = [unreadable, refused, contradicting, used];
        assert!(counts.iter().all(|count| *count > 5) && used > 200, "{counts:?}");
    }

    fn declared() -> Description {
        Description::declared(&sample::SPEC)
    }

    /// Returns the declared description with one status fewer.
    fn without_a_status() -> Description {
        let mut description = declared();
        for step in description.steps.values_mut() {
            step.statuses.pop();
        }
        description
    }

    #[test]
    fn joins_and_lowered_shards_of_a_declaration_hold() {
        let own = declared();
        check_joined(&own, &own, "Sample", &own);
        check_lowered(&own, &own, "Sample", 1, &own);
        check_operator(Some(&own), &own);
        check_interned(&own);
    }

    #[test]
    #[should_panic(expected = "the join has forgotten the code 18")]
    fn join_that_forgets_a_status_is_noticed() {
        check_joined(&declared(), &declared(), "Sample", &without_a_status());
    }

    #[test]
    #[should_panic(expected = "the join has forgotten the step")]
    fn join_that_forgets_a_step_is_noticed() {
        let none = Description { steps: BTreeMap::new(), ..declared() };
        check_joined(&declared(), &declared(), "Sample", &none);
    }

    #[test]
    #[should_panic(expected = "only the shards are lowered")]
    fn lowered_description_with_another_change_is_noticed() {
        let other = Description { sep: "#".to_owned(), ..declared() };
        check_lowered(&declared(), &declared(), "Sample", 1, &other);
    }
}
